package follow

import (
	"strconv"
	"strings"
	"time"

	"rsm/schema"
)

// channels are the events that matter, of Sentinel's Publish/Subscribe interface
// (redis.io, "High availability with Redis Sentinel"; sentinel.c). "+selected-slave"
// names the replica that a leader is about to promote; the two states after it do, too.
func channels() []string {
	return []string{
		"+new-epoch", "+try-failover", "+elected-leader",
		"+selected-slave", "+failover-state-send-slaveof-noone", "+failover-state-wait-promotion",
		"+promoted-slave", "+failover-end", "+failover-end-for-timeout", "+switch-master", "+config-update-from",
		"-failover-abort-not-elected", "-failover-abort-no-good-slave", "-failover-abort-slave-timeout",
		"+sdown", "-sdown", "+odown", "-odown", "+reboot", "+monitor",
	}
}

// ear is the subscription to one Sentinel.
type ear struct {
	addr  schema.Addr
	heard time.Time // when the last event came
	event string    // that event
	err   string    // why there is no subscription
	since time.Time // since when there is one, or none
	epoch uint64    // of the last +new-epoch
	tried uint64    // the epoch of the failover that it tries; 0: not known
}

// listening is that a subscription began, or ended with an error.
type listening struct {
	sentinel int
	at       time.Time
	err      string
}

func (f listening) tell(w *world) {
	e := &w.ears[f.sentinel]
	if e.since.IsZero() || (f.err == "") != (e.err == "") {
		e.since = f.at
	}
	e.err = f.err
	e.epoch, e.tried = 0, 0 // what came in between was not heard
}

// event is a message of a Sentinel.
type event struct {
	sentinel int
	at       time.Time
	name     string // of the master that this is about
	channel  string
	payload  string
}

func (f event) tell(w *world) {
	e := &w.ears[f.sentinel]
	e.heard, e.event = f.at, f.channel+" "+f.payload
	words := strings.Fields(f.payload)
	switch f.channel {
	case "+new-epoch": // of all masters; the failover that it is for follows
		e.epoch, _ = strconv.ParseUint(f.payload, 10, 64)
	case "+try-failover":
		if f.ours(words) {
			e.tried = e.epoch
		}
	case "+selected-slave", "+failover-state-send-slaveof-noone", "+failover-state-wait-promotion":
		if f.ours(words) {
			w.chosen(f.sentinel, f.at, schema.NewAddr(words[2], port(words[3])))
		}
	case "-failover-abort-not-elected", "-failover-abort-no-good-slave", "-failover-abort-slave-timeout":
		if c := w.choice; f.ours(words) && c != nil && c.by == f.sentinel && c.promoted.IsZero() {
			w.choice = nil
		}
	}
}

// ours tells whether the words are about our master. They are
// "master <name> <ip> <port>" or
// "<type> <name> <ip> <port> @ <master name> <master ip> <master port>".
func (f event) ours(words []string) bool {
	return len(words) == 4 && words[0] == "master" && words[1] == f.name || len(words) == 8 && words[5] == f.name
}

// promoting is what a Sentinel answers that leads a failover.
type promoting struct {
	sentinel int
	asked    time.Time
	addr     schema.Addr
}

func (f promoting) tell(w *world) { w.chosen(f.sentinel, f.asked, f.addr) }

// chosen notes that a Sentinel promotes addr.
func (w *world) chosen(by int, at time.Time, addr schema.Addr) {
	if !w.known(addr) {
		return
	}
	if c := w.choice; c != nil && c.by == by && c.addr == addr {
		c.seen = at // the same failover, one step on
		return
	}
	top := w.top(at, w.anybody)
	if top.addr == addr {
		return // heard late: it is the master already
	}
	w.choice = &choice{by: by, addr: addr, at: at, seen: at, base: top.epoch, epoch: max(top.epoch+1, w.ears[by].tried)}
}

func port(text string) int {
	n, _ := strconv.Atoi(text)
	return n
}
