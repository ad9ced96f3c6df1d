package follow

import (
	"slices"
	"strings"
	"time"

	"rsm/schema"
)

// world is everything that was learnt. Facts change it, decide reads it; neither
// does I/O or looks at a clock.
type world struct {
	fence, downAfter time.Duration
	majority         int
	// views and ears are of the Sentinels, in the order of the spec.
	views []view
	ears  []ear
	// nodes is of the redis nodes, order their addresses in the order of the spec.
	nodes map[schema.Addr]node
	order []schema.Addr
	// choice is the promotion that a Sentinel announced last, nil when that is settled.
	choice *choice
	// lead is the name with the highest epoch.
	lead lead
	// samples are the offsets of sampled, newest last.
	sampled schema.Addr
	samples []sample
}

// fact is something that was learnt.
type fact interface{ tell(*world) }

// view is what one Sentinel says.
type view struct {
	asked time.Time // when it was asked for what follows; zero: it never answered
	named schema.Addr
	epoch uint64
	flags string
	err   string    // why it did not answer when it was asked last
	since time.Time // since when it answers, or does not
}

// node is what one redis node says.
type node struct {
	asked  time.Time // when it was asked for what follows; zero: it never answered
	role   string    // as in ROLE
	of     schema.Addr
	linked bool
	offset int64
	runID  string
	refuse string // the error that it gives to PING: LOADING, MASTERDOWN, NOAUTH …
	busy   bool   // a script runs for so long that it answers nothing else

	err    string    // why it did not answer when it was asked last
	gone   bool      // nothing listens there
	silent time.Time // since when questions went unanswered; zero: they do not

	fresh time.Time
}

// choice is a promotion that a Sentinel has announced.
type choice struct {
	by       int // the Sentinel
	addr     schema.Addr
	at       time.Time
	seen     time.Time // when it was announced last
	base     uint64    // the highest config epoch before it
	epoch    uint64    // of the failover, at least
	promoted time.Time
}

// lead is when a name of the highest epoch was first seen.
type lead struct {
	addr  schema.Addr
	epoch uint64
	since time.Time
}

// sample is a replication offset that a master did not exceed before asked.
type sample struct {
	asked  time.Time
	offset int64
}

// viewed is the answer of a Sentinel, or (with err) that it has none.
type viewed struct {
	sentinel int
	view
}

func (f viewed) tell(w *world) {
	old := &w.views[f.sentinel]
	if f.since = old.since; (f.err == "") != (old.err == "") || old.since.IsZero() {
		f.since = f.asked
	}
	if f.err != "" { // what it said before still counts until it is too old
		old.err, old.since = f.err, f.since
		return
	}
	*old = f.view
	if top := w.top(f.asked, w.anybody); top.epoch != w.lead.epoch || top.addr != w.lead.addr {
		w.lead = lead{top.addr, top.epoch, f.asked}
	}
	if c := w.choice; c != nil {
		c.hear(w, f)
	}
}

// failing tells whether the Sentinel is the leader of a failover.
func (v view) failing() bool { return v.err == "" && strings.Contains(v.flags, "failover_in_progress") }

// hear follows what the Sentinels say of the promotion.
func (c *choice) hear(w *world, f viewed) {
	top := w.top(f.asked, w.anybody)
	switch {
	case top.addr == c.addr && top.epoch > c.base && top.votes >= w.majority:
		w.choice = nil // settled: the first rule of all says the same
	case f.sentinel == c.by && c.promoted.IsZero() && f.asked.After(c.at) && !f.failing():
		w.choice = nil // given up
	}
}

// passed is that time has passed.
type passed time.Time

func (f passed) tell(w *world) {
	now, c := time.Time(f), w.choice
	if c != nil && now.Sub(c.seen) > patience && (c.promoted.IsZero() || now.Sub(c.promoted) > patience) {
		w.choice = nil
	}
}

// answered is the answer of a redis node, or that there is none.
type answered struct {
	addr schema.Addr
	node
}

func (f answered) tell(w *world) {
	old := w.nodes[f.addr]
	switch {
	case f.err != "":
		old.err, old.gone = f.err, f.gone
		if old.silent.IsZero() {
			old.silent = f.asked
		}
		w.nodes[f.addr] = old
		return
	case f.busy && f.runID == old.runID: // nothing changes a role while a script runs
		f.role, f.of, f.linked, f.offset = old.role, old.of, old.linked, old.offset
	}
	if f.linked && old.linked && f.runID == old.runID && f.of == old.of {
		f.fresh = old.fresh
	}
	w.nodes[f.addr] = f.node
	w.sample(f.addr)
	if c := w.choice; c != nil && c.addr == f.addr && f.asked.After(c.at) {
		c.see(w, f.node)
	}
}

// see follows the promotion of the chosen one.
func (c *choice) see(w *world, n node) {
	switch {
	case n.role == "master" && c.promoted.IsZero():
		c.promoted = n.asked
	case n.role == "slave" && !c.promoted.IsZero():
		w.choice = nil // somebody made it a replica again
	}
}

// top is a name with the highest epoch and how many Sentinels say that name, at
// any epoch. alone is false when another name has the same epoch.
type top struct {
	addr  schema.Addr
	epoch uint64
	votes int
	alone bool
}

// anybody and known are whose names count in top.
func (w *world) anybody(schema.Addr) bool { return true }

func (w *world) known(addr schema.Addr) bool { return slices.Contains(w.order, addr) }

func (w *world) top(now time.Time, who func(schema.Addr) bool) top {
	best := top{alone: true}
	for _, v := range w.views {
		if !w.counts(v, now) || v.epoch < best.epoch || !who(v.named) {
			continue
		}
		this := top{v.named, v.epoch, w.votes(v.named, now), true}
		switch {
		case best.votes == 0 || v.epoch > best.epoch:
			best = this
		case v.named != best.addr && this.votes > best.votes:
			best, best.alone = this, false
		case v.named != best.addr:
			best.alone = false
		}
	}
	return best
}

// counts tells whether a view is one: what was said long ago is not.
func (w *world) counts(v view, now time.Time) bool {
	return v.named != "" && now.Sub(v.asked) <= max(memory, w.fence)
}

func (w *world) votes(addr schema.Addr, now time.Time) (n int) {
	for _, v := range w.views {
		if w.counts(v, now) && v.named == addr {
			n++
		}
	}
	return n
}

// vouched is the newest time since which a majority of Sentinels answered without
// a word against addr at the epoch.
func (w *world) vouched(addr schema.Addr, epoch uint64, now time.Time) time.Time {
	var asked []time.Time
	for _, v := range w.views {
		if w.counts(v, now) && (v.named == addr || v.epoch < epoch) {
			asked = append(asked, v.asked)
		}
	}
	if len(asked) < w.majority {
		return time.Time{}
	}
	slices.SortFunc(asked, func(a, b time.Time) int { return b.Compare(a) })
	return asked[w.majority-1]
}
