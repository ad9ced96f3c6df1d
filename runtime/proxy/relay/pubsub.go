package relay

import (
	"bytes"
	"strconv"

	"rsm/internal/frame"
	"rsm/runtime/proxy/command"
)

// subscriptions counts what a connection is subscribed to: channels, patterns,
// shard channels.
type subscriptions struct {
	count [3]int
	total int
}

// push tells what a message is that may have come unasked.
type push uint8

const (
	notPushed push = iota
	message        // a message for the client, no reply
	confirmed      // a reply that (un)subscribing brings
	partly         // more of it must come first
)

// unasked passes on what a server sends though no reply is due.
func (l *loop) unasked(b *backend, data []byte) (int, error) {
	switch {
	case b.owner == nil:
		return 0, frame.Error("a reply that nobody asked for")
	case b.owner.state.raw:
		l.emit(b, b.owner, data)
		return len(data), nil
	case b.scan.Between() && data[0] != '>' && (data[0] != '*' || b.owner.state.subs.total == 0):
		return 0, frame.Error("a reply that nobody asked for")
	}
	b.push = true
	n, ended, err := b.scan.Next(data)
	b.push = !ended && !b.scan.Between()
	l.emit(b, b.owner, data[:n])
	return n, err
}

// pushed deals with a message that is no ordinary reply. It returns how many
// bytes it took, and notPushed when the message is a reply.
func (l *loop) pushed(b *backend, e *entry, data []byte) (int, push, error) {
	c := b.owner
	if c == nil || data[0] != '>' && (data[0] != '*' || e.cmd == nil || !subscribes(e.cmd) && c.state.subs.total == 0) {
		if data[0] == '>' {
			return 0, message, frame.Error("a push on a shared connection")
		}
		return 0, notPushed, nil
	}
	word, ok := firstWord(data)
	if !ok {
		return 0, partly, nil
	}
	which, subscribed, confirms := confirmation(word)
	if !confirms {
		if data[0] == '*' && !isMessage(word) {
			return 0, notPushed, nil // PING answers with an array, too
		}
		return 0, message, nil
	}
	n, err := whole(data)
	switch {
	case n == 0 || err != nil:
		return 0, partly, err
	case e.cmd == nil || !subscribes(e.cmd):
		return 0, message, nil
	}
	l.emit(b, c, data[:n])
	if e.words == 0 && !subscribed { // from all of them
		e.words = max(1, c.state.subs.count[which])
	}
	c.state.subs.learn(which, subscribed, lastNumber(data[:n]))
	if e.words--; e.words <= 0 {
		l.settle(b, e, 1)
	}
	return n, confirmed, nil
}

func subscribes(cmd *command.Command) bool {
	return cmd.Kind == command.Subscribe || cmd.Kind == command.Unsubscribe
}

// whole returns the size of the message that data begins with, 0 when it is
// incomplete.
func whole(data []byte) (int, error) {
	var s frame.Scanner
	pos := 0
	for {
		n, ended, err := s.Next(data[pos:])
		pos += n
		switch {
		case err != nil:
			return 0, err
		case ended:
			return pos, nil
		case n == 0 || pos == len(data):
			return 0, nil
		}
	}
}

// learn takes the number of subscriptions that a confirmation tells. Those of
// shards are counted by themselves.
func (s *subscriptions) learn(which int, subscribed bool, now int) {
	before := s.count[0] + s.count[1]
	if which == 2 {
		before = s.count[2]
	}
	switch {
	case subscribed && now > before:
		s.count[which]++
	case !subscribed && now < before:
		s.count[which]--
	}
	s.total = s.count[0] + s.count[1] + s.count[2]
}

// firstWord returns the first element of an array or push, which is a bulk.
func firstWord(data []byte) (string, bool) {
	i := bytes.IndexByte(data, '\n')
	switch {
	case i > 1 && (data[1] == '0' || data[1] == '-'): // it has no elements
		return "?", true
	case i < 0 || i+1 >= len(data):
		return "", false
	}
	rest := data[i+1:]
	if rest[0] != '$' {
		return "?", true
	}
	r := bytes.IndexByte(rest, '\n')
	if r < 0 {
		return "", false
	}
	size, err := strconv.Atoi(string(rest[1 : r-1]))
	if err != nil || size < 0 || size > 32 {
		return "?", true
	}
	if len(rest) < r+1+size {
		return "", false
	}
	return string(rest[r+1 : r+1+size]), true
}

func confirmation(word string) (which int, subscribed, ok bool) {
	switch word {
	case "subscribe", "psubscribe", "ssubscribe":
		subscribed = true
	case "unsubscribe", "punsubscribe", "sunsubscribe":
	default:
		return 0, false, false
	}
	switch word[0] {
	case 'p':
		which = 1
	case 's':
		if word[1] == 's' || word[1] == 'u' && word[2] == 'n' {
			which = 2
		}
	}
	return which, subscribed, true
}

func isMessage(word string) bool {
	return word == "message" || word == "pmessage" || word == "smessage"
}

// lastNumber reads the integer that a message ends with.
func lastNumber(data []byte) int {
	i := bytes.LastIndexByte(data, ':')
	if i < 0 {
		return 0
	}
	n, _ := strconv.Atoi(string(bytes.TrimRight(data[i+1:], "\r\n")))
	return n
}
