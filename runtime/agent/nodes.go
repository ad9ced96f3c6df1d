package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"rsm/internal/resp"
	"rsm/schema"
)

const (
	// infoEvery is how often a server is asked, unless samples come more seldom.
	infoEvery = 10 * time.Second
	// infoLimit is how long it may take to answer.
	infoLimit = 2 * time.Second
)

// ask asks one server for INFO again and again until ctx ends, and puts an event
// into the outbox each time, also when there is no answer.
func (a *Agent) ask(ctx context.Context, node schema.AgentNode) {
	link := nodeLink{node: node}
	defer link.close()
	ticker := time.NewTicker(max(infoEvery, a.Role.Agent.Interval))
	defer ticker.Stop()
	before := ""
	for {
		text, err := link.info(ctx)
		if ctx.Err() != nil {
			return
		}
		now := brief(err)
		if now != before {
			a.trouble(fmt.Sprintf("redis %s of %s at %s", node.Name, node.Cluster, node.Addr), now)
		}
		before = now
		a.tell(node, text, err)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// tell publishes what a server said, or that it said nothing: event type "redis".
func (a *Agent) tell(node schema.AgentNode, text string, err error) {
	info := nodeInfo{cluster: node.Cluster, name: node.Name, sentinel: node.Sentinel, up: err == nil, at: time.Now()}
	event := map[string]any{
		"v": 1, "id": a.ids.New(), "type": "redis", "agent": a.Role.Agent.Name, "host": a.Role.Agent.Host,
		"ts": info.at.UnixMilli(), "cluster": node.Cluster, "node": node.Name, "addr": node.Addr,
		"sentinel": node.Sentinel, "up": number(info.up),
	}
	if len(a.Role.Agent.Tags) > 0 {
		event["tags"] = a.Role.Agent.Tags
	}
	if err != nil {
		event["error"] = brief(err)
	} else {
		info.numbers, info.texts = readInfo(text)
	}
	for name, n := range info.numbers {
		event[name] = n
	}
	for name, text := range info.texts {
		event[name] = text
	}
	content, err := json.Marshal(event)
	if err != nil { // strings and finite numbers alone
		a.trouble("redis "+node.Name, err.Error())
		return
	}
	a.out.add(content)
	a.seen.setNode(info)
}

// nodeLink is the connection to one server; it stays open.
type nodeLink struct {
	node schema.AgentNode
	conn *resp.Conn
}

// info returns the reply to INFO. After an error the next call connects anew, with
// the password as it is then.
func (l *nodeLink) info(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, infoLimit)
	defer cancel()
	reused := l.conn != nil
	text, err := l.try(ctx)
	if err != nil && reused && ctx.Err() == nil { // it was restarted since
		text, err = l.try(ctx)
	}
	return text, err
}

func (l *nodeLink) try(ctx context.Context) (string, error) {
	if l.conn == nil {
		if err := l.open(ctx); err != nil {
			return "", err
		}
	}
	reply, err := l.conn.Do(ctx, "INFO")
	if err != nil {
		l.close()
		return "", fmt.Errorf("INFO: %w", err)
	}
	text, ok := reply.(string)
	if !ok {
		l.close()
		return "", fmt.Errorf("INFO: %w", resp.ErrProtocol)
	}
	return text, nil
}

func (l *nodeLink) open(ctx context.Context) error {
	password := ""
	if l.node.Password != nil {
		var err error
		if password, err = l.node.Password.Read(); err != nil {
			return err
		}
	}
	conn, err := resp.Dial(ctx, string(l.node.Addr))
	if err != nil {
		return err
	}
	if password != "" {
		if _, err := conn.Do(ctx, "AUTH", password); err != nil && !strings.Contains(err.Error(), "without any password configured") {
			_ = conn.Close()
			return fmt.Errorf("AUTH: %w", err)
		}
	}
	// Refused by none but very old or renamed commands: a name is no condition.
	_, err = conn.Do(ctx, "CLIENT", "SETNAME", "rsm-agent")
	var refused resp.Error
	if err != nil && !errors.As(err, &refused) {
		_ = conn.Close()
		return err
	}
	l.conn = conn
	return nil
}

func (l *nodeLink) close() {
	if l.conn != nil {
		_ = l.conn.Close()
		l.conn = nil
	}
}

// brief is an error as one short text that stays the same from one attempt to the
// next, "" for none.
func brief(err error) string {
	var timeout interface{ Timeout() bool }
	switch {
	case err == nil:
		return ""
	case errors.As(err, &timeout) && timeout.Timeout():
		return "no answer within " + infoLimit.String()
	}
	text := err.Error()
	if i := strings.LastIndex(text, "->"); i >= 0 { // "read tcp <own address>-><address>: why"
		_, text, _ = strings.Cut(text[i:], ": ")
	}
	return text
}

// seen is what was sampled last, for those who ask.
type seen struct {
	mu     sync.Mutex
	sample *Sample
	nodes  map[string]nodeInfo // by cluster and name
}

func (s *seen) setSample(sample *Sample) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sample = sample
}

func (s *seen) setNode(info nodeInfo) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nodes[info.cluster+"/"+info.name] = info
}

// get returns the last sample, nil before the first, and the servers in order.
func (s *seen) get() (*Sample, []nodeInfo) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var nodes []nodeInfo
	for _, key := range sorted(s.nodes, func(string) bool { return true }) {
		nodes = append(nodes, s.nodes[key])
	}
	return s.sample, nodes
}
