package relay

import (
	"bytes"
	"slices"
	"strconv"

	"rsm/internal/frame"
)

// refersTo returns which argument of a CLIENT command is the id of another
// client: of UNBLOCK, or of TRACKING with REDIRECT; 0 when none is.
func refersTo(args [][]byte) int {
	is := func(i int, word string) bool { return i < len(args) && bytes.EqualFold(args[i], []byte(word)) }
	if is(1, "unblock") && len(args) <= 4 && len(args) > 2 {
		return 2
	}
	for i := 2; is(1, "tracking") && i+1 < len(args); i++ {
		if is(i, "redirect") {
			return i + 1
		}
	}
	return 0
}

// withRealID has a command done with the id that the server knows a client by:
// that of the client's own backend. Who has none is not blocked and receives
// nothing, so the server is asked about an id that nobody has.
func (l *loop) withRealID(c *client, args [][]byte) (done, ok bool) {
	at := refersTo(args)
	id, err := strconv.ParseUint(string(args[at]), 10, 64)
	if err != nil {
		return false, false // the server says what is wrong with it
	}
	args = slices.Clone(args)
	for i, arg := range args {
		args[i] = bytes.Clone(arg)
	}
	gather(l, c, func(l *loop) (found []string) {
		if other := l.clients[id]; other != nil && other.pin != nil && other.pin.realID != "" {
			found = append(found, other.pin.realID)
		}
		return found
	}, func(found []string) {
		args[at] = []byte("9223372036854775807")
		if len(found) > 0 {
			args[at] = []byte(found[0])
		}
		c.redo = slices.Insert(c.redo, 0, redo{request: frame.Append(nil, args...)})
	})
	return true, true
}
