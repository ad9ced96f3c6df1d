package relay

import (
	"slices"

	"rsm/internal/frame"
	"rsm/runtime/proxy/command"
	"rsm/schema"
)

// hold has a client wait for a master.
func (l *loop) hold(c *client) bool {
	c.wait, c.gen = waitMaster, 0
	if c.waits == 0 {
		c.waits = l.ns
		l.stats.holds++
	}
	if !c.held {
		c.held = true
		l.held = append(l.held, c)
	}
	return false
}

// wakeHeld lets all go on that wait for a master.
func (l *loop) wakeHeld() {
	held := l.held
	l.held, l.wakeAt = nil, 0
	for _, c := range held {
		c.held = false
		if c.wait == waitMaster {
			c.wait = waitNothing
			l.wakeClient(c)
		}
	}
}

// release looks after those that wait for a master: who has waited too long gets
// an error, and so do those that came last when too much waits.
func (l *loop) release() {
	if len(l.held) == 0 {
		l.heldFor = 0
		return
	}
	limits := &l.shared.role.Load().Proxy
	memory, used := limits.HoldMemory/int64(l.shared.loops), int64(0)
	for _, c := range l.held {
		used += int64(len(c.in) - c.taken)
		late := l.ns-c.waits >= int64(limits.Hold)
		if (late || memory > 0 && used > memory) && c.wait == waitMaster && !c.gone {
			l.refuseAll(c)
		}
	}
	l.heldFor = used
	l.held = slices.DeleteFunc(l.held, func(c *client) bool {
		c.held = c.wait == waitMaster && !c.gone
		return !c.held
	})
	if l.wakeAt > 0 && l.ns >= l.wakeAt {
		l.wakeHeld()
	}
}

// refuseAll answers everything that a client has sent with an error.
func (l *loop) refuseAll(c *client) {
	c.wait = waitNothing
	if c.outstanding > 0 {
		c.wait = waitReplies
		return
	}
	why := "no master: " + l.target.Why
	if c.listener.Read == schema.ReadReplica {
		why = l.whyNoReplica(c)
	} else if l.target.Master != "" {
		why = "the master cannot take requests: " + l.target.Why
		if l.master != nil {
			why += l.master.refusal
		}
	}
	refusal := "-MASTERDOWN " + why
	begun := c.state.multi
	for _, r := range c.redo {
		switch {
		case r.answer != nil:
			c.out = append(l.output(c), r.answer...)
		case r.quiet:
			begun = true
		default:
			begun = !l.refuse(c, r.request, refusal) && begun
		}
	}
	c.redo, c.back, c.waits = nil, 0, 0
	for {
		r, err := frame.Next(c.in[c.taken:])
		if err != nil || r.Size == 0 {
			break
		}
		if r.Args > 0 || r.Inline && r.Size > 2 {
			begun = !l.refuse(c, c.in[c.taken:c.taken+r.Size], refusal) && begun
		}
		c.taken += r.Size
	}
	l.forgetTransaction(c, begun)
	l.stats.refusals++
	l.wakeClient(c)
}

// refuse answers one request that found no master. It reports whether the request
// would have ended a transaction.
func (l *loop) refuse(c *client, request []byte, text string) (ends bool) {
	r, err := frame.Next(request)
	name := r.Name
	if args, _ := frame.SplitInline(request); r.Inline && len(args) > 0 {
		name = args[0]
	}
	if err == nil {
		switch l.table.Lookup(name).Kind {
		case command.Quit:
			text, c.closing = "+OK", true
		case command.Browser:
			c.closing = true
		case command.Exec, command.Discard, command.Reset:
			ends = true
		}
	}
	l.say(c, text)
	return ends
}

// forgetTransaction is for a client of whose transaction a part was refused: none of
// it may be executed. open means that the client has not ended it.
func (l *loop) forgetTransaction(c *client, open bool) {
	if !open && !c.state.multi {
		return
	}
	if b := c.pin; b != nil {
		c.pin, c.lane = nil, nil
		l.abandon(b)
	}
	c.transaction, c.state = nil, pinState{lost: open}
}

// redo sends what has to be done again.
func (l *loop) redo(c *client) {
	for len(c.redo) > 0 && c.wait == waitNothing && !c.closing {
		if c.diverting && c.outstanding > 0 {
			c.wait = waitReplies
			return
		}
		c.diverting, c.back = false, 0
		r := c.redo[0]
		switch {
		case r.answer != nil && c.outstanding > 0:
			c.wait = waitReplies
			return
		case r.answer != nil:
			c.out = append(l.output(c), r.answer...)
		default:
			name, _ := frame.Next(r.request)
			c.again, c.quiet = true, r.quiet
			ok := l.request(c, r.request, name.Name)
			c.again, c.quiet = false, false
			if !ok {
				return
			}
		}
		c.redo = c.redo[1:]
	}
	if c.closing {
		c.redo = nil
	}
}

// sweep looks after what is idle, each second.
func (l *loop) sweep() {
	for _, s := range l.servers {
		l.sweepWitnesses(s)
		for b := range s.backends {
			switch idle := l.ns - b.used; {
			case b.ring.count > 0 || b.owner != nil || b.witness != nil:
			case b.shared && idle > sharedTime, !b.shared && idle > idleTime:
				l.shut(b)
			}
		}
	}
	for _, c := range l.clients {
		c.tokens = c.listener.Rate
		if idle := c.listener.Idle; idle > 0 && l.ns-c.last > int64(idle) && c.mayTimeOut() {
			l.drop(c)
		}
	}
	l.nextTurn()
}

// mayTimeOut reports whether nobody but the client can end its silence.
func (c *client) mayTimeOut() bool {
	return c.stream != nil || c.outstanding == 0 && c.wait == waitNothing && c.state.subs.total == 0 && !c.state.raw
}

// blocked reports whether a client waits for a blocking command.
func (c *client) blocked() bool {
	e := c.pin.ring.front()
	return e != nil && e.cmd != nil && e.cmd.Kind == command.Blocking
}

// tend looks after connections that take too long.
func (l *loop) tend() {
	l.leaving = slices.DeleteFunc(l.leaving, func(c *client) bool {
		if !c.gone && c.pin != nil && c.blocked() && l.ns-c.left > leaveTime { // nobody is there to take what would come
			l.drop(c)
		}
		return c.gone
	})
	l.spilled = 0
	l.spills = slices.DeleteFunc(l.spills, func(c *client) bool {
		l.spilled += len(c.out) - c.off
		c.spilling = !c.gone && len(c.out)-c.off > maxOutput
		return !c.spilling
	})
	for _, s := range l.servers {
		l.tendWitnesses(s)
		if s.deposed && l.ns > s.patience {
			l.cut(s, "its time is over")
			continue
		}
		for b := range s.backends {
			switch {
			case !b.ready && l.ns-b.opened > openTime && b.ring.count > 0:
				l.broken(b, errSilent)
			case b.blockedBy != nil && b.ring.count > 1 && b.owner == nil && l.ns-b.blockedAt > stallTime:
				l.drop(b.blockedBy)
			case l.overdue(b):
				l.suspect(s)
				l.broken(b, errGone)
			case b.retired && b.ring.count == 0:
				b.retired = false
				l.giveBack(b)
			}
		}
	}
}

// opening reports whether something must be looked after soon.
func (l *loop) opening() bool {
	for _, s := range l.servers {
		if s.deposed || s.suspect > l.ns {
			return true
		}
	}
	return false
}
