package relay

import (
	"cmp"
	"context"
	"hash/maphash"
	"slices"
	"time"

	"rsm/runtime/proxy/command"
	"rsm/schema"
)

const (
	bigSize = 64
	// bigLeast is the size from which a reply is worth a place.
	bigLeast = 1 << 10
	// bigTime is for how long one is remembered that is not seen again.
	bigTime = int64(time.Hour)
)

// bigReplies has the biggest replies that were looked at, one for each command and
// key.
type bigReplies struct {
	seed  maphash.Seed
	used  int
	items [bigSize]bigItem
}

type bigItem struct {
	hash   uint64
	size   int
	seen   uint64
	at     int64
	cmd    *command.Command
	server schema.Addr
	keyed  bool
	key    shortKey
}

func (t *bigReplies) note(g *glance, now int64) {
	if g.replied < bigLeast {
		return
	}
	if t.seed == (maphash.Seed{}) {
		t.seed = maphash.MakeSeed()
	}
	hash := keyHash(t.seed, g) + uint64(g.cmd.ID)*0xC2B2AE3D27D4EB4F
	i := t.place(hash, g.replied, now)
	if i < 0 {
		return
	}
	item := &t.items[i]
	if item.hash != hash || item.size == 0 {
		*item = bigItem{hash: hash, keyed: g.key != nil}
		item.key.set(g)
	}
	item.seen++
	item.at, item.cmd, item.server = now, g.cmd, g.server.addr
	item.size = max(item.size, g.replied)
}

// place returns where a reply is to be noted: where it is already, else in the
// place of an old or a smaller one; -1 when all others are bigger.
func (t *bigReplies) place(hash uint64, size int, now int64) int {
	least := -1
	for i := range t.used {
		item := &t.items[i]
		if item.hash == hash {
			return i
		}
		if now-item.at > bigTime {
			item.size = 0
		}
		if least < 0 || item.size < t.items[least].size {
			least = i
		}
	}
	if t.used < bigSize {
		t.used++
		return t.used - 1
	}
	if t.items[least].size >= size {
		return -1
	}
	return least
}

// BigReply is a big reply.
type BigReply struct {
	Command string `json:"command"`
	Key     string `json:"key,omitempty"` // the first one, shortened
	DB      int    `json:"db"`
	Bytes   int    `json:"bytes"` // of the biggest
	// Seen is how many such were looked at, of 1 kB and more: one in 128, and each
	// of 64 kB and more that was asked for alone. Last is when.
	Seen   uint64      `json:"seen"`
	Last   time.Time   `json:"last"`
	Server schema.Addr `json:"server"`
}

// BigReplies returns the biggest replies of the last hour, at most limit.
func (r *Relay) BigReplies(ctx context.Context, limit int) ([]BigReply, error) {
	parts, err := ask(ctx, r, func(l *loop) []BigReply { return l.seen.big.list(l) })
	if err != nil {
		return nil, err
	}
	type name struct {
		command, key string
		db           int
	}
	sum := map[name]BigReply{}
	for _, reply := range slices.Concat(parts...) {
		mine := sum[name{reply.Command, reply.Key, reply.DB}]
		reply.Seen, reply.Bytes = reply.Seen+mine.Seen, max(reply.Bytes, mine.Bytes)
		if mine.Last.After(reply.Last) {
			reply.Last, reply.Server = mine.Last, mine.Server
		}
		sum[name{reply.Command, reply.Key, reply.DB}] = reply
	}
	var all []BigReply
	for _, reply := range sum {
		all = append(all, reply)
	}
	slices.SortFunc(all, func(a, b BigReply) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Command, b.Command), cmp.Compare(a.Key, b.Key))
	})
	return all[:min(limit, len(all))], nil
}

func (t *bigReplies) list(l *loop) []BigReply {
	var all []BigReply
	for i := range t.used {
		item := &t.items[i]
		if item.size == 0 || l.ns-item.at > bigTime {
			continue
		}
		reply := BigReply{
			Command: commandName(item.cmd), DB: item.key.db, Bytes: item.size, Seen: item.seen, Last: l.clock(item.at), Server: item.server,
		}
		if item.keyed {
			reply.Key = item.key.String()
		}
		all = append(all, reply)
	}
	return all
}
