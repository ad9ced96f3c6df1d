package follow

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"rsm/internal/resp"
	"rsm/schema"
)

// pace says how often one server is asked.
type pace struct {
	every atomic.Int64
	wake  chan struct{}
}

// least is the shortest time between two questions, however often somebody wants
// to know.
const least = 3 * time.Millisecond

func newPace(every time.Duration) *pace {
	p := &pace{wake: make(chan struct{}, 1)}
	p.every.Store(int64(every))
	return p
}

// set changes the interval; a shorter one counts at once.
func (p *pace) set(every time.Duration) {
	if old := p.every.Swap(int64(every)); int64(every) < old {
		p.now()
	}
}

// now ends the wait for the next question.
func (p *pace) now() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// wait returns when the next question after the one of asked is due, false when
// ctx ended.
func (p *pace) wait(ctx context.Context, asked, now time.Time, jitter func(time.Duration) time.Duration) bool {
	timer := time.NewTimer(jitter(time.Duration(p.every.Load())) - now.Sub(asked))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	case <-p.wake:
	}
	timer.Reset(least - now.Sub(asked))
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// askSentinel asks one Sentinel again and again who is the master.
func (f *Follower) askSentinel(ctx context.Context, i int) {
	l := &link{addr: f.config.Sentinels[i], dial: f.config.Dial, secret: f.config.SentinelPassword}
	defer l.close()
	before := ""
	for {
		asked := f.config.Now()
		// The name first: a promotion between the two gives an old name at a new epoch,
		// which nobody else confirms, and not a new name at an old one.
		replies, err := l.ask(ctx, sentinelLimit,
			[]string{"SENTINEL", "GET-MASTER-ADDR-BY-NAME", f.config.Cluster}, []string{"SENTINEL", "MASTER", f.config.Cluster})
		v := readView(i, asked, replies, err)
		if !f.learn(ctx, v) {
			return
		}
		f.remark("sentinel", l.addr, before, v.err)
		before = v.err
		if v.failing() {
			f.askPromotion(ctx, l, i)
		}
		if !f.sentinels[i].wait(ctx, asked, f.config.Now(), f.jitter) {
			return
		}
	}
}

// askPromotion asks the leader of a failover whom it promotes, in case that
// +selected-slave was not heard.
func (f *Follower) askPromotion(ctx context.Context, l *link, i int) {
	asked := f.config.Now()
	replies, err := l.ask(ctx, sentinelLimit, []string{"SENTINEL", "REPLICAS", f.config.Cluster})
	if err != nil {
		return // the next question tells
	}
	replicas, _ := replies[0].([]any)
	for _, replica := range replicas {
		fields := fields(replica)
		if strings.Contains(fields["flags"], "promoted") {
			f.learn(ctx, promoting{i, asked, schema.NewAddr(fields["ip"], port(fields["port"]))})
		}
	}
}

func readView(i int, asked time.Time, replies []any, err error) viewed {
	v := viewed{sentinel: i, view: view{asked: asked}}
	if err != nil {
		v.err = brief(err)
		return v
	}
	for _, reply := range replies {
		if refused, ok := reply.(resp.Error); ok { // also that it does not know the name
			v.err = string(refused)
		}
	}
	if where := texts(replies[0]); len(where) == 2 {
		v.named = schema.NewAddr(where[0], port(where[1]))
	}
	master := fields(replies[1])
	v.epoch, _ = strconv.ParseUint(master["config-epoch"], 10, 64)
	v.flags = master["flags"]
	return v
}

// askNode asks one redis node again and again for its role.
func (f *Follower) askNode(ctx context.Context, addr schema.Addr) {
	runID, before := "", ""
	l := &link{
		addr: addr, dial: f.config.Dial, secret: f.config.Password,
		greet: []string{"INFO", "server"}, heard: func(reply any) { runID = readRunID(reply) },
	}
	defer l.close()
	limit := min(max(f.config.DownAfter/2, 100*time.Millisecond), time.Second)
	for {
		asked := f.config.Now()
		// ROLE is answered while loading, PING is not.
		replies, err := l.ask(ctx, limit, []string{"ROLE"}, []string{"PING"})
		n := readNode(asked, replies, err)
		n.runID = runID
		if !f.learn(ctx, answered{addr, n}) {
			return
		}
		f.remark("redis", addr, before, n.err)
		before = n.err
		if !f.nodes[addr].wait(ctx, asked, f.config.Now(), f.jitter) {
			return
		}
	}
}

// readNode understands ROLE (redis.io, command ROLE):
// "master" offset replicas, or "slave" host port state offset.
func readNode(asked time.Time, replies []any, err error) node {
	n := node{asked: asked}
	if said := resp.Error(""); errors.As(err, &said) { // to AUTH
		n.refuse = string(said)
		return n
	}
	if err != nil {
		n.err, n.gone = brief(err), refused(err)
		return n
	}
	for _, reply := range slices.Backward(replies) {
		if refused, ok := reply.(resp.Error); ok {
			n.refuse, n.busy = string(refused), strings.HasPrefix(string(refused), "BUSY ")
		}
	}
	if n.busy {
		n.refuse = ""
		return n
	}
	words, _ := replies[0].([]any)
	if len(words) == 0 {
		return n
	}
	n.role, _ = words[0].(string)
	switch {
	case n.role == "master" && len(words) > 1:
		n.offset, _ = words[1].(int64)
	case n.role == "slave" && len(words) > 4:
		host, _ := words[1].(string)
		port, _ := words[2].(int64)
		n.of = schema.NewAddr(host, int(port))
		n.linked = words[3] == "connected"
		n.offset, _ = words[4].(int64)
	}
	return n
}

func readRunID(reply any) string {
	text, _ := reply.(string)
	for line := range strings.Lines(text) {
		if id, ok := strings.CutPrefix(line, "run_id:"); ok {
			return strings.TrimSpace(id)
		}
	}
	return ""
}

// fields is a reply of names and values.
func fields(reply any) map[string]string {
	words := texts(reply)
	found := make(map[string]string, len(words)/2)
	for i := 0; i+1 < len(words); i += 2 {
		found[words[i]] = words[i+1]
	}
	return found
}

// texts is a reply as a list of texts, nil when it is none.
func texts(reply any) []string {
	items, _ := reply.([]any)
	words := make([]string, len(items))
	for i, item := range items {
		words[i], _ = item.(string)
	}
	return words
}
