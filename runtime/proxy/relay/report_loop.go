package relay

import "rsm/runtime/proxy/command"

// report tells what one loop has done.
func (l *loop) report() *tally {
	t := newTally()
	s := &l.stats
	t.Unconfirmed = s.unconfirmed
	t.Opened, t.Holds, t.Refusals, t.Retries, t.Doubts, t.Denied = s.opened, s.holds, s.refusals, s.retries, s.doubts, s.denied
	for id := range s.commands {
		if s.commands[id].Count > 0 {
			at(t.commands, commandName(l.table.At(id))).Add(s.commands[id])
		}
	}
	for name, gone := range s.listeners {
		*at(t.listeners, name) = *gone
	}
	backends := 0
	for _, server := range l.servers {
		backends += len(server.backends)
		l.reportServer(at(t.servers, server.addr), server)
	}
	for _, c := range l.clients {
		mine := at(t.listeners, c.listener.Name)
		mine.Clients++
		mine.Received += c.received
		mine.Sent += c.sent
		t.States[c.doing()]++
		if c.wait == waitMaster {
			t.Held.Clients++
			t.Held.Bytes += int64(len(c.in) - c.taken)
			t.Held.Longest = max(t.Held.Longest, seconds(l.ns-c.waits))
		}
	}
	t.Loops = []LoopReport{{Clients: len(l.clients), Backends: backends, InFlight: l.outgone, Turns: l.turns}}
	return t
}

func (l *loop) reportServer(t *ServerReport, s *server) {
	t.Failures, t.Deposed, t.Idle = s.fails, s.deposed, len(s.idle)
	for b := range s.backends {
		switch {
		case !b.ready:
			t.Opening++
		case b.owner != nil:
			t.Pinned++
		case b.shared:
			t.Shared++
		case b.retired:
			t.Retired++
		}
		for i := range b.ring.count {
			t.InFlight += b.ring.at(i).n
		}
	}
}

// doing is the State of a ClientReport.
func (c *client) doing() string {
	switch c.wait {
	case waitMaster:
		return "held"
	case waitRoom:
		return "waiting"
	case waitReader:
		return "stalled"
	case waitTurn:
		return "delayed"
	}
	switch {
	case c.state.subs.total > 0:
		return "subscribed"
	case c.state.multi:
		return "transaction"
	case c.pin != nil:
		return "pinned"
	case c.outstanding > 0:
		return "busy"
	}
	return "idle"
}

// commandName is what a command is called in reports. What a client sent that is
// no command is never repeated: it may be anything.
func commandName(cmd *command.Command) string {
	switch {
	case cmd == nil:
		return ""
	case cmd.Name == "":
		return "unknown"
	}
	return cmd.Name
}

// latency is where the answers to a command are counted. A command of an earlier
// table counts for its namesake.
func (l *loop) latency(cmd *command.Command) *Latency {
	id := cmd.ID
	if id >= l.table.Len() || l.table.At(id) != cmd {
		id = l.table.Lookup([]byte(cmd.Name)).ID
	}
	return &l.stats.commands[id]
}

// carry gives the counters of one table to the next.
func (s *stats) carry(from, to *command.Table) {
	counted := s.commands
	s.commands = make([]Latency, to.Len())
	for id := range counted {
		s.commands[to.Lookup([]byte(from.At(id).Name)).ID].Add(counted[id])
	}
}

// deny answers a request that the rules of the listener refuse.
func (l *loop) deny(c *client, why string) bool {
	if !l.answer(c, why) {
		return false
	}
	l.stats.denied++
	l.spoil(c)
	return true
}

// came and left count clients by the name of their listener, which outlives it.
func (s *stats) came(c *client) { at(s.listeners, c.listener.Name).Accepted++ }

func (s *stats) left(c *client) {
	gone := at(s.listeners, c.listener.Name)
	gone.Received, gone.Sent = gone.Received+c.received, gone.Sent+c.sent
}
