package relay

import (
	"cmp"
	"context"
	"hash/maphash"
	"slices"

	"rsm/runtime/proxy/command"
)

const (
	// topSize is how many keys are counted: a key that is asked for more often than
	// once in so many requests is among them.
	topSize = 128
	// halfTime is after how many nanoseconds what was counted counts half.
	halfTime = 60e9
)

// topKeys counts the keys that are asked for most often, by the space-saving
// algorithm (Metwally, Agrawal, El Abbadi, 2005): a key that is not among those
// counted takes the place of the least one and inherits its count, as far as
// which it may be wrong.
type topKeys struct {
	seed   maphash.Seed
	used   int
	hashes [topSize]uint64
	counts [topSize]uint64
	items  [topSize]topItem
	total  uint64
	halved int64
}

type topItem struct {
	over uint64
	cmd  *command.Command
	key  shortKey
}

func newTopKeys() topKeys { return topKeys{seed: maphash.MakeSeed()} }

// note counts a request for weight many.
func (t *topKeys) note(g *glance, weight uint64, now int64) {
	t.age(now)
	t.total += weight
	hash := keyHash(t.seed, g)
	i := slices.Index(t.hashes[:t.used], hash)
	if i < 0 {
		if i = t.used; i < topSize {
			t.used++
			t.counts[i] = 0
		} else {
			i = t.least()
		}
		t.hashes[i], t.items[i].over = hash, t.counts[i]
		t.items[i].key.set(g)
	}
	t.counts[i] += weight
	t.items[i].cmd = g.cmd
}

func (t *topKeys) least() int {
	least := 0
	for i, n := range t.counts {
		if n < t.counts[least] {
			least = i
		}
	}
	return least
}

// age halves what was counted for each halfTime that went by.
func (t *topKeys) age(now int64) {
	for ; now-t.halved >= halfTime && t.total > 0; t.halved += halfTime {
		t.total /= 2
		for i := range t.used {
			t.counts[i] /= 2
			t.items[i].over /= 2
		}
	}
	if t.total == 0 {
		t.halved = now
	}
}

func keyHash(seed maphash.Seed, g *glance) uint64 {
	return maphash.Bytes(seed, g.key) ^ uint64(g.c.ident.db)*0x9E3779B97F4A7C15
}

// HotKey is a key that many requests are for.
type HotKey struct {
	Key string `json:"key"` // shortened
	DB  int    `json:"db"`
	// Command is the last one that was seen.
	Command string `json:"command"`
	// Requests are an estimate; Over of them at most are those of other keys. What
	// is longer ago counts less: half after a minute.
	Requests uint64 `json:"requests"`
	Over     uint64 `json:"over"`
	// Share of all requests that have a key.
	Share float64 `json:"share"`
}

// HotKeys returns the keys that are asked for most often, at most limit, and how
// many requests were counted.
func (r *Relay) HotKeys(ctx context.Context, limit int) (keys []HotKey, counted uint64, err error) {
	type part struct {
		keys  []HotKey
		total uint64
	}
	parts, err := ask(ctx, r, func(l *loop) part {
		l.seen.keys.age(l.ns)
		return part{l.seen.keys.list(), l.seen.keys.total}
	})
	if err != nil {
		return nil, 0, err
	}
	type name struct {
		key string
		db  int
	}
	sum := map[name]*HotKey{}
	for _, part := range parts {
		counted += part.total
		for _, k := range part.keys {
			mine := at(sum, name{k.Key, k.DB})
			requests, over := mine.Requests+k.Requests, mine.Over+k.Over
			*mine = k
			mine.Requests, mine.Over = requests, over
		}
	}
	for _, k := range sum {
		k.Share = float64(k.Requests) / float64(max(counted, 1))
		keys = append(keys, *k)
	}
	slices.SortFunc(keys, func(a, b HotKey) int {
		return cmp.Or(cmp.Compare(b.Requests, a.Requests), cmp.Compare(a.Key, b.Key), cmp.Compare(a.DB, b.DB))
	})
	return keys[:min(limit, len(keys))], counted, nil
}

func (t *topKeys) list() []HotKey {
	var all []HotKey
	for i := range t.used {
		if item := &t.items[i]; t.counts[i] > 0 {
			all = append(all, HotKey{
				Key: item.key.String(), DB: item.key.db, Command: commandName(item.cmd), Requests: t.counts[i], Over: item.over,
			})
		}
	}
	return all
}
