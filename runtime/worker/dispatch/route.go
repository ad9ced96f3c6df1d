package dispatch

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"rsm/internal/expr"
	"rsm/runtime/bus"
	"rsm/runtime/worker/alert"
	"rsm/runtime/worker/queue"
	"rsm/schema"
)

// plan is what a set of operations asks of dispatchers, compiled. It does not
// change.
type plan struct {
	digest  string
	rules   *alert.Rules
	byType  map[string][]*route
	handler map[string]schema.Handler
	max     map[string]int64
	// inhibitors are rules that others are inhibited by.
	inhibitors []string
}

// route is a handler that gets events of a type.
type route struct {
	schema.Handler
	when *expr.Program // nil means always
}

// compile prepares a set; one that is wrong anywhere is refused as a whole.
func compile(ops schema.Operations, digest string) (*plan, error) {
	rules, err := alert.Compile(ops.Rules)
	p := &plan{digest: digest, rules: rules, byType: map[string][]*route{}, handler: map[string]schema.Handler{}, max: map[string]int64{}}
	wrong := []error{err}
	for _, q := range ops.Queues {
		p.max[q.Name] = q.Max
	}
	for _, h := range ops.Handlers {
		r := &route{Handler: h}
		if h.When != "" {
			if r.when, err = expr.Condition(h.When); err != nil {
				wrong = append(wrong, fmt.Errorf("handler %s: when: %w", h.Name, err))
			}
		}
		p.handler[h.Name] = h
		types := h.Types
		if len(types) == 0 {
			types = []string{h.Name}
		}
		for _, t := range types {
			p.byType[t] = append(p.byType[t], r)
		}
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	p.inhibitors = rules.Inhibitors()
	return p, nil
}

// direct is the payload of a task for an event.
type direct struct {
	Handler string          `json:"handler"`
	Event   json.RawMessage `json:"event"`
	EventID string          `json:"event_id"`
	Type    string          `json:"type"`
	Host    string          `json:"host"`
	TS      time.Time       `json:"ts"`
}

// told is the payload of a task for alerts.
type told struct {
	Handler string             `json:"handler"`
	Alerts  alert.Notification `json:"alerts"`
}

// tasks are what the handlers get of an event. lost says what a handler cannot get,
// and failed what conditions could not be evaluated; the others get theirs.
func (p *plan) tasks(e bus.Event) (list []task, lost, failed error) {
	for _, r := range p.byType[e.Type] {
		if r.when != nil {
			holds, err := r.when.Holds(e.Fields)
			if err != nil && !errors.Is(err, expr.ErrMissing) {
				failed = fmt.Errorf("handler %s: when: %w", r.Name, err)
			}
			if err != nil || !holds {
				continue
			}
		}
		t, err := encodeTask(r.Handler, e.ID+":"+r.Name, direct{r.Name, e.Raw, e.ID, e.Type, e.Host, e.TS})
		if err != nil {
			lost = fmt.Errorf("handler %s: %w", r.Name, err)
			continue
		}
		list = append(list, t)
	}
	return list, lost, failed
}

// mostTold is how many bytes of a task are for a notification.
const mostTold = queue.MaxPayload - 1<<10

// tell is the task of a notification.
func (p *plan) tell(n alert.Notification) (task, error) {
	h, ok := p.handler[n.Receiver]
	if !ok {
		return task{}, fmt.Errorf("notify %s: there is no such handler", n.Receiver)
	}
	t, err := encodeTask(h, n.ID, told{n.Receiver, n.Fit(mostTold)})
	if err != nil {
		return t, fmt.Errorf("notify %s: %w", n.Receiver, err)
	}
	return t, nil
}

func encodeTask(h schema.Handler, id string, payload any) (task, error) {
	content, err := json.Marshal(payload)
	if err != nil {
		return task{}, err
	}
	id, message, extra, err := queue.Task{ID: taskID(id), Type: "handle/" + h.Name, Payload: content,
		Attempts: h.Attempts, Timeout: h.Timeout}.Encode()
	return task{h.Queue, id, message, extra}, err
}

// taskID is an id that queues take: ids of events may be longer, and hold anything.
func taskID(id string) string {
	if len(id) <= queue.MaxID && !strings.HasPrefix(id, "{") && !strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return id
	}
	digest := sha256.Sum256([]byte(id))
	name := id[strings.LastIndexByte(id, ':')+1:]
	return "sha256-" + hex.EncodeToString(digest[:16]) + ":" + name
}
