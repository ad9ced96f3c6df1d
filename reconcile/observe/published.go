package observe

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"rsm/reconcile"
)

// holdings is what one redis-server answered about the roles of rsm.
type holdings struct {
	published reconcile.Published
	presence  []reply
}

// presenceKey is where roles of rsm tell that they are there: a hash of
// "<kind>/<name>" to JSON.
const presenceKey = "rsm:roles"

// alertsKey is where dispatchers count the alerts: a hash of status to number.
const alertsKey = "rsm:alerts:count"

// presence is what rsm needs of it.
type presence struct {
	Version    string        `json:"version"`
	Digest     string        `json:"digest"`
	Operations string        `json:"operations"`
	Refusal    string        `json:"refusal"`
	Seen       time.Time     `json:"seen"`
	Every      time.Duration `json:"every"`
}

// What a role that is not on this machine is known by.
const (
	whyNoMaster = "no master answers, to whom it would tell that it is there"
	whyAbsent   = "it has not told Redis that it is there"
	missed      = 3 // of its own intervals
)

// heldQuestions is what every redis-server is asked, as the master is only known in
// the end. What has no roles of rsm only answers that it holds nothing.
func (p *pass) heldQuestions() [][]any {
	list := [][]any{{"HGETALL", reconcile.OperationsKey}, {"HGETALL", reconcile.RegistrationKey}}
	if fields := p.presenceFields(); len(fields) > 0 {
		list = append(list, []any{"TIME"}, append([]any{"HMGET", presenceKey}, fields...), []any{"HGET", alertsKey, "firing"})
	}
	return list
}

func (p *pass) presenceFields() []any {
	var fields []any
	for _, r := range reconcile.DeclaredRoles(p.cluster) {
		if r.Kind != reconcile.KindProxy {
			fields = append(fields, string(r.Kind)+"/"+r.Name)
		}
	}
	return fields
}

// keep remembers the answers of one redis-server.
func (p *pass) keep(node string, replies []reply) {
	var h holdings
	for i, into := range []*map[string]string{&h.published.Operations, &h.published.Roles} {
		if replies[i].err != "" {
			h.published.Why = "read what is published: " + replies[i].err
		}
		*into = replies[i].flat()
	}
	h.presence = replies[2:]
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.holds == nil {
		p.holds = map[string]holdings{}
	}
	p.holds[node] = h
}

// publications takes what the master holds: from nobody else, as a replica may lag.
func (p *pass) publications(ctx context.Context, s *reconcile.State) {
	master := s.Authority()
	if master == nil || master.Reach != reconcile.Up {
		return
	}
	h, ok := p.holds[master.Name]
	if !ok {
		return
	}
	s.Published = &h.published
	p.readBacklog(ctx, master, s.Published)
	if len(h.presence) == 0 {
		return
	}
	s.Published.Firing, _ = strconv.ParseInt(h.presence[2].text(), 10, 64)
	now, fields := serverTime(h.presence[0]), p.presenceFields()
	answers, _ := h.presence[1].value.([]any)
	for i, field := range fields {
		name := strings.SplitN(field.(string), "/", 2)[1]
		r := s.Roles[name]
		if r == nil || i >= len(answers) {
			continue
		}
		text, _ := answers[i].(string)
		if !r.Process.Local {
			r.Reach, r.Why, r.Loaded = fromAfar(text, now)
		}
		if r.Reach == reconcile.Up {
			r.Behind = refusal(text)
		}
	}
}

// refusal is why a role does not follow what is published, empty when it does.
func refusal(text string) string {
	var seen presence
	if json.Unmarshal([]byte(text), &seen) != nil {
		return ""
	}
	return seen.Refusal
}

// fromAfar is what a role on another machine tells of itself.
func fromAfar(text string, now time.Time) (reconcile.Reach, string, reconcile.Loaded) {
	var seen presence
	if text == "" || json.Unmarshal([]byte(text), &seen) != nil {
		return reconcile.Unknown, whyAbsent, reconcile.Loaded{}
	}
	if age := now.Sub(seen.Seen); age > missed*max(seen.Every, time.Second) {
		return reconcile.Unknown, fmt.Sprintf("it told Redis that it is there %s ago, and not since", age.Round(time.Second)), reconcile.Loaded{}
	}
	return reconcile.Up, "", reconcile.Loaded{Version: seen.Version, Digest: seen.Digest}
}

// serverTime reads the reply to TIME: seconds and microseconds.
func serverTime(r reply) time.Time {
	list, _ := r.value.([]any)
	if len(list) != 2 {
		return time.Now()
	}
	var seconds, micros int64
	_, _ = fmt.Sscan(fmt.Sprint(list[0]), &seconds)
	_, _ = fmt.Sscan(fmt.Sprint(list[1]), &micros)
	return time.Unix(seconds, micros*1000)
}

// readBacklog counts the tasks of queues that are published and no longer declared.
func (p *pass) readBacklog(ctx context.Context, master *reconcile.RedisState, published *reconcile.Published) {
	declared := p.cluster.Operations.Items()
	var queues []string
	var commands [][]any
	for item := range published.Operations {
		name, ok := strings.CutPrefix(item, "queue/")
		if _, kept := declared[item]; !ok || kept {
			continue
		}
		queues = append(queues, name)
		commands = append(commands, []any{"LLEN", pendingKey(name)}, []any{"HLEN", "rsm:{" + name + "}:m"})
	}
	if len(queues) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, p.o.timeout())
	defer cancel()
	s, err := p.o.open(ctx, master.Addr, p.keys.redis)
	if err != nil {
		published.Why = "count tasks: " + err.Error()
		return
	}
	defer s.close()
	replies, err := s.pipeline(ctx, commands)
	if err != nil {
		published.Why = "count tasks: " + s.why(err, p.o.timeout())
		return
	}
	published.Backlog = map[string]int64{}
	for i, name := range queues {
		waiting, _ := replies[2*i].value.(int64)
		known, _ := replies[2*i+1].value.(int64)
		published.Backlog[name] = max(waiting, known)
	}
}

// pendingKey is the list of the tasks of a queue that wait; beside it, the hash
// rsm:{queue}:m has all that a worker has seen, also dead ones.
func pendingKey(queue string) string {
	if queue == "default" {
		return "task_list"
	}
	return "rsm:{" + queue + "}:pending"
}
