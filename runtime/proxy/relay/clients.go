package relay

import (
	"slices"
	"strconv"
	"strings"
	"sync"
)

// gather asks every loop for something, and then the client's own loop for the
// answer. Until then the client waits.
func gather[T any](l *loop, c *client, ask func(*loop) []T, answer func([]T)) {
	c.wait = waitAnswer
	var mu sync.Mutex
	var all []T
	left := len(l.shared.all)
	for _, other := range l.shared.all {
		other.post(func(other *loop) {
			found := ask(other)
			mu.Lock()
			defer mu.Unlock()
			all = append(all, found...)
			if left--; left > 0 {
				return
			}
			l.post(func(l *loop) {
				if c.gone {
					return
				}
				answer(all)
				c.wait = waitNothing
				l.wakeClient(c)
			})
		})
	}
}

// criteria choose clients, as the arguments of CLIENT LIST and CLIENT KILL do.
type criteria struct {
	ids              []uint64
	addr, laddr      string
	user, kind       string
	skipMe, old, bad bool
	self             uint64
}

func parseCriteria(args [][]byte, self uint64, killing bool) criteria {
	f := criteria{self: self, skipMe: killing}
	if killing && len(args) == 1 {
		f.addr, f.old, f.skipMe = string(args[0]), true, false
		return f
	}
	for i := 0; i < len(args); i++ {
		word := strings.ToLower(string(args[i]))
		if i+1 == len(args) {
			f.bad = true
			break
		}
		i++
		value := string(args[i])
		switch word {
		case "id":
			for ; i < len(args); i++ {
				id, err := strconv.ParseUint(string(args[i]), 10, 64)
				if err != nil {
					i--
					break
				}
				f.ids = append(f.ids, id)
				if killing {
					break
				}
			}
			f.bad = f.bad || len(f.ids) == 0
		case "addr":
			f.addr = value
		case "laddr":
			f.laddr = value
		case "user":
			f.user = value
		case "type":
			f.kind = strings.ToLower(value)
		case "skipme":
			f.skipMe = strings.EqualFold(value, "yes")
		default:
			f.bad = true
		}
	}
	return f
}

func (f criteria) match(c *client) bool {
	user := c.ident.user
	if user == "" {
		user = "default"
	}
	kind := "normal"
	if c.state.subs.total > 0 {
		kind = "pubsub"
	}
	return !(len(f.ids) > 0 && !slices.Contains(f.ids, c.id) || f.addr != "" && f.addr != c.addr || f.laddr != "" && f.laddr != c.laddr ||
		f.user != "" && f.user != user || f.kind != "" && f.kind != kind || f.skipMe && f.self == c.id)
}

// clientList answers CLIENT LIST with the clients of this proxy.
func (l *loop) clientList(c *client, args [][]byte) (done, ok bool) {
	f := parseCriteria(args, c.id, false)
	if f.bad {
		l.say(c, "-ERR syntax error")
		return true, true
	}
	gather(l, c, func(l *loop) (lines []string) {
		for _, other := range l.clients {
			if f.match(other) {
				lines = append(lines, l.line(other)+"\n")
			}
		}
		return lines
	}, func(lines []string) {
		slices.Sort(lines)
		l.sayText(c, strings.Join(lines, ""))
	})
	return true, true
}

// clientKill answers CLIENT KILL: it closes clients of this proxy.
func (l *loop) clientKill(c *client, args [][]byte) (done, ok bool) {
	f := parseCriteria(args, c.id, true)
	if f.bad {
		l.say(c, "-ERR syntax error")
		return true, true
	}
	gather(l, c, func(l *loop) (killed []*client) {
		for _, other := range l.clients {
			if f.match(other) {
				killed = append(killed, other)
				if other != c {
					l.drop(other)
				}
			}
		}
		return killed
	}, func(killed []*client) {
		c.closing = slices.Contains(killed, c)
		switch {
		case !f.old:
			l.say(c, ":"+strconv.Itoa(len(killed)))
		case len(killed) == 0:
			l.say(c, "-ERR No such client")
		default:
			l.say(c, "+OK")
		}
	})
	return true, true
}
