package dispatch

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"rsm/runtime/worker/alert"
)

// groups decides what receivers are told of groups. Those whose alerts have changed
// meanwhile are looked at again.
func (l *lookout) groups(ctx context.Context, keys []string) error {
	for range rounds {
		s, err := l.scene(ctx, keys)
		if err != nil {
			return err
		}
		units := make([]*unit, len(keys))
		for i, key := range keys {
			units[i] = l.group(s, key)
		}
		said, err := l.do(ctx, units)
		if err != nil {
			return err
		}
		keys = slices.DeleteFunc(slices.Clone(keys), func(key string) bool { return said[slices.Index(keys, key)] != conflict })
		if len(keys) == 0 {
			return nil
		}
		l.d.meter.conflicts.Add(float64(len(keys)))
		l.now = l.d.clock.Now()
	}
	return nil // they are due again in two seconds
}

// scene is all that decides about groups.
type scene struct {
	revisions, groups, budgets map[string]string
	members                    map[string][]string // of a group
	alerts                     map[string]known
	env                        alert.Env
}

// scene reads it. Revisions come first: what changes after them is a conflict.
func (l *lookout) scene(ctx context.Context, keys []string) (*scene, error) {
	pipe := l.d.client.Pipeline()
	revs, groups := pipe.HMGet(ctx, revisions, keys...), pipe.HMGet(ctx, Groups, keys...)
	sets := make([]*redis.StringSliceCmd, 0, len(keys)+len(l.plan.inhibitors))
	for _, key := range keys {
		sets = append(sets, pipe.SMembers(ctx, members+key))
	}
	for _, rule := range l.plan.inhibitors {
		sets = append(sets, pipe.SMembers(ctx, firing+rule))
	}
	silences, budgets := pipe.HGetAll(ctx, Silences), pipe.HGetAll(ctx, Budgets)
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("read groups: %w", err)
	}
	s := &scene{revisions: byName(keys, revs.Val()), groups: byName(keys, groups.Val()), budgets: budgets.Val(), members: map[string][]string{}}
	var all, inhibiting []string
	for i, set := range sets {
		all = append(all, set.Val()...)
		if i < len(keys) {
			s.members[keys[i]] = set.Val()
		} else {
			inhibiting = append(inhibiting, set.Val()...)
		}
	}
	s.env.Now = l.now
	for _, text := range silences.Val() {
		if silence := decode[alert.Silence](text); silence != nil {
			s.env.Silences = append(s.env.Silences, *silence)
		}
	}
	var err error
	if s.alerts, err = l.d.states(ctx, unique(all)); err != nil {
		return nil, err
	}
	for _, fingerprint := range inhibiting {
		if a := s.alerts[fingerprint].alert; a != nil {
			s.env.Firing = append(s.env.Firing, *a)
		}
	}
	return s, nil
}

func byName(names []string, values []any) map[string]string {
	found := map[string]string{}
	for i, value := range values {
		if text, ok := value.(string); ok {
			found[names[i]] = text
		}
	}
	return found
}

// group is what is done about one.
func (l *lookout) group(s *scene, key string) *unit {
	u := &unit{}
	stored := s.groups[key]
	g := decode[alert.Group](stored)
	if g == nil {
		g = &alert.Group{}
	}
	g.Key = key
	var alerts []alert.Alert
	for _, fingerprint := range s.members[key] {
		if a := s.alerts[fingerprint].alert; a != nil && a.Group == key {
			alerts = append(alerts, *a)
		} else {
			u.do("SREM", members+key, fingerprint)
		}
	}
	out := l.plan.rules.Notify(*g, alerts, s.env)
	u.set(revisions, key, s.revisions[key], keep)
	u.wake("g:"+key, out.Wake)
	l.store(u, key, stored, g, out)
	l.forget(u, s, out.Settled)
	if out.Group == nil && len(out.Settled) == len(alerts) {
		u.do("HDEL", revisions, key)
	}
	for _, receiver := range receivers(out.Notifications) {
		list := slices.DeleteFunc(slices.Clone(out.Notifications), func(n alert.Notification) bool { return n.Receiver != receiver })
		l.spend(u, s.budgets, receiver, list)
	}
	return u
}

func (l *lookout) store(u *unit, key, stored string, g *alert.Group, out alert.Outcome) {
	switch {
	case out.Group == nil && stored != "":
		u.set(Groups, key, stored, remove)
	case out.Group != nil && (stored == "" || out.Group.Version != g.Version):
		u.set(Groups, key, stored, encode(out.Group))
	default:
		u.set(Groups, key, stored, keep)
	}
}

// forget deletes alerts whose end everybody knows.
func (l *lookout) forget(u *unit, s *scene, fingerprints []string) {
	for _, fingerprint := range fingerprints {
		k := s.alerts[fingerprint]
		u.set(Alerts, fingerprint, k.raw, remove)
		u.wake("a:"+fingerprint, time.Time{})
		u.do("HINCRBY", Counts, string(k.alert.Status), "-1")
		u.do("SREM", members+k.alert.Group, fingerprint)
	}
}

func receivers(list []alert.Notification) []string {
	var names []string
	for _, n := range list {
		names = append(names, n.Receiver)
	}
	return unique(names)
}
