package alert_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rsm/runtime/worker/alert"
	"rsm/schema"
)

// epoch is when every scenario begins: a Monday.
var epoch = time.Date(2030, 1, 7, 0, 0, 0, 0, time.UTC)

// world does with the package what dispatchers do: it stores states as JSON, on
// condition of their versions, and asks again when they want to be.
type world struct {
	t        testing.TB
	rules    *alert.Rules
	declared map[string]schema.Rule
	rates    map[string]int
	now      time.Time
	states   map[string]string // "alert/<fingerprint>", "group/<key>", "silence/<id>", "budget/<receiver>"
	wakes    map[string]time.Time
	sent     []delivery
	// race lets a second dispatcher do the same between a look and its commit.
	race  bool
	lost  int // commits that another was faster with
	count int // of events
}

type delivery struct {
	at time.Time
	alert.Notification
}

func newWorld(t testing.TB) *world {
	return &world{t: t, declared: map[string]schema.Rule{}, rates: map[string]int{}, now: epoch, states: map[string]string{}, wakes: map[string]time.Time{}}
}

// compiled are the rules of all worlds: they do not change, and compiling takes
// longer than all the rest.
var compiled sync.Map

// declare replaces the rules, and looks at every alert.
func (w *world) declare() {
	var list []schema.Rule
	for _, name := range slices.Sorted(maps.Keys(w.declared)) {
		list = append(list, w.declared[name])
	}
	key := fmt.Sprintf("%+v", list)
	if known, ok := compiled.Load(key); ok {
		w.rules = known.(*alert.Rules)
	} else {
		rules, err := alert.Compile(list)
		if err != nil {
			w.t.Fatal(err)
		}
		w.rules = rules
		compiled.Store(key, rules)
	}
	for _, key := range w.keys("alert/") {
		w.due(key)
	}
	w.lookAgain()
}

func (w *world) keys(prefix string) (keys []string) {
	for _, key := range slices.Sorted(maps.Keys(w.states)) {
		if strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	return keys
}

func load[T any](w *world, key string) *T {
	content, ok := w.states[key]
	if !ok {
		return nil
	}
	state := new(T)
	if err := json.Unmarshal([]byte(content), state); err != nil {
		w.t.Fatal(err)
	}
	return state
}

func all[T any](w *world, prefix string) (list []T) {
	for _, key := range w.keys(prefix) {
		list = append(list, *load[T](w, key))
	}
	return list
}

// version of what is stored, 0 for nothing.
func (w *world) version(key string) int64 {
	v := load[struct{ Version int64 }](w, key)
	if v == nil {
		return 0
	}
	return v.Version
}

func (w *world) store(key string, state any) {
	content, err := json.Marshal(state)
	if err != nil {
		w.t.Fatal(err)
	}
	before := w.version(key)
	w.states[key] = string(content)
	if after := w.version(key); after != before+1 {
		w.t.Fatalf("%s: version %d follows %d", key, after, before)
	}
}

func (w *world) remove(key string) {
	delete(w.states, key)
	delete(w.wakes, key)
}

// raced lets the other dispatcher do the same first. When what was read is no
// longer stored then, it does it again, and reports that.
func (w *world) raced(again func(), key string, read int64) bool {
	if !w.race {
		return false
	}
	w.race = false
	defer func() { w.race = true }()
	again()
	if w.version(key) == read {
		return false
	}
	w.lost++
	again()
	return true
}

func (w *world) event(fields map[string]any) {
	w.count++
	at := w.now
	if back, ok := fields["late"]; ok {
		late, err := time.ParseDuration(fmt.Sprint(back))
		if err != nil {
			w.t.Fatal(err)
		}
		at = at.Add(-late)
	}
	e := alert.Event{ID: fmt.Sprint(w.count), Type: "monitoring", TS: at, Fields: fields}
	if kind, ok := fields["type"].(string); ok {
		e.Type = kind
	}
	e.Raw, _ = json.Marshal(fields)
	for _, v := range w.rules.Verdicts(e) {
		w.advance(v, e)
	}
}

func (w *world) advance(v alert.Verdict, e alert.Event) {
	key := "alert/" + v.Fingerprint
	old, read := load[alert.Alert](w, key), w.version(key)
	next, changed := w.rules.Advance(old, v, e, w.now)
	if w.raced(func() { w.advance(v, e) }, key, read) {
		return
	}
	if changed {
		w.commit(key, old, next)
	}
}

func (w *world) commit(key string, old, next *alert.Alert) {
	if next == nil {
		w.remove(key)
	} else {
		w.store(key, next)
		w.wake(key, next.Wake)
	}
	for _, a := range []*alert.Alert{old, next} {
		if a != nil && (old == nil || next == nil || old.Status != next.Status) {
			w.wakes["group/"+a.Group] = w.now
		}
	}
}

func (w *world) wake(key string, at time.Time) {
	delete(w.wakes, key)
	if !at.IsZero() {
		w.wakes[key] = at
	}
}

func (w *world) due(key string) {
	old := load[alert.Alert](w, key)
	if old == nil {
		delete(w.wakes, key)
		return
	}
	next, changed := w.rules.Due(*old, w.now)
	if w.raced(func() { w.due(key) }, key, old.Version) {
		return
	}
	if changed {
		w.commit(key, old, next)
	} else {
		w.wake(key, old.Wake)
	}
}

// lookAgain makes every group due.
func (w *world) lookAgain() {
	for _, key := range w.keys("group/") {
		w.wakes[key] = w.now
	}
}

// silences looks at all of them.
func (w *world) silences() {
	for _, key := range w.keys("silence/") {
		s := *load[alert.Silence](w, key)
		next, changed := s.Next(all[alert.Alert](w, "alert/"), w.now)
		switch {
		case next == nil:
			w.remove(key)
			w.lookAgain()
		case changed:
			w.store(key, next)
		}
	}
}

func (w *world) notify(key string) {
	name := strings.TrimPrefix(key, "group/")
	g := alert.Group{Key: name}
	if stored := load[alert.Group](w, key); stored != nil {
		g = *stored
	}
	every := all[alert.Alert](w, "alert/")
	alerts := slices.DeleteFunc(slices.Clone(every), func(a alert.Alert) bool { return a.Group != name })
	read := map[string]int64{key: w.version(key)}
	for _, a := range alerts {
		read["alert/"+a.Fingerprint] = a.Version
	}
	out := w.rules.Notify(g, alerts, alert.Env{Now: w.now, Firing: every, Silences: all[alert.Silence](w, "silence/")})
	// Only the version of the group counts for a commit: those of alerts guard their
	// own deletion.
	if w.raced(func() { w.notify(key) }, key, read[key]) {
		return
	}
	delete(w.wakes, key)
	switch {
	case out.Group == nil:
		w.remove(key)
	case out.Group.Version != g.Version:
		w.store(key, out.Group)
	}
	for _, fingerprint := range out.Settled {
		if key := "alert/" + fingerprint; w.version(key) == read[key] {
			w.remove(key)
		}
	}
	w.wake(key, out.Wake)
	for _, n := range out.Notifications {
		w.pass(n.Receiver, []alert.Notification{n})
	}
}

func (w *world) pass(receiver string, in []alert.Notification) {
	key := "budget/" + receiver
	var b alert.Budget
	if stored := load[alert.Budget](w, key); stored != nil {
		b = *stored
	}
	next, sent := b.Pass(w.rates[receiver], in, w.now)
	w.remove(key)
	if next != nil {
		w.states[key] = fmt.Sprintf(`{"version":%d}`, b.Version)
		w.store(key, next)
		w.wake(key, next.Wake)
	}
	for _, n := range sent {
		w.sent = append(w.sent, delivery{w.now, n})
	}
}

// run lets the time pass.
func (w *world) run(until time.Time) {
	for {
		key, at := "", until
		for _, k := range slices.Sorted(maps.Keys(w.wakes)) {
			if t := w.wakes[k]; !t.After(at) && (key == "" || t.Before(at)) {
				key, at = k, t
			}
		}
		if key == "" {
			break
		}
		if at.After(w.now) {
			w.now = at
		}
		w.step(key)
	}
	w.now = until
}

func (w *world) step(key string) {
	kind, name, _ := strings.Cut(key, "/")
	switch kind {
	case "alert":
		w.due(key)
	case "group":
		w.silences()
		w.notify(key)
	case "silence":
		delete(w.wakes, key)
		w.silences()
	case "budget":
		delete(w.wakes, key)
		w.pass(name, nil)
	}
}
