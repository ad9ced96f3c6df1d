package proxy_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// generator makes turns from a seed.
type generator struct {
	*rand.Rand
	inMulti [3]bool // of each connection
}

func newGenerator(seed uint64) *generator {
	return &generator{Rand: rand.New(rand.NewPCG(seed, 0))}
}

func pick[T any](g *generator, from []T) T { return from[g.IntN(len(from))] }

// turn makes the next turn of a stream.
func (g *generator) turn() turn {
	conn := g.IntN(len(g.inMulti))
	if g.inMulti[conn] {
		return g.inTransaction(conn)
	}
	switch n := g.IntN(100); {
	case n < 55:
		return g.encode(conn, byMarker, g.commands(dataTemplates, 1+g.IntN(12)))
	case n < 67:
		return g.encode(conn, byMarker, g.commands(stateTemplates, 1+g.IntN(3)))
	case n < 73:
		return g.encode(conn, byMarker, g.commands(scriptTemplates, 1+g.IntN(4)))
	case n < 77:
		return g.encode(conn, byMarker, g.commands(brokenTemplates, 1+g.IntN(5)))
	case n < 86:
		return g.encode(conn, byMarker, g.transaction())
	case n < 89:
		g.inMulti[conn] = true
		return g.encode(conn, byCount, [][]string{{"multi"}})
	case n < 93:
		commands := g.commands(dataTemplates, g.IntN(3))
		commands = append(commands, g.commands(blockingTemplates, 1)...)
		return g.encode(conn, byMarker, append(commands, g.commands(dataTemplates, g.IntN(3))...))
	case n < 97:
		return g.fed(conn)
	}
	return g.closing(conn)
}

// inTransaction goes on with a MULTI that is open between turns: one command
// each, so that its one reply is known to be all.
func (g *generator) inTransaction(conn int) turn {
	next := g.IntN(10)
	g.inMulti[conn] = next > 2
	switch next {
	case 0, 1:
		return g.encode(conn, byCount, [][]string{{"exec"}})
	case 2:
		return g.encode(conn, byCount, [][]string{{pick(g, []string{"discard", "reset"})}})
	case 3:
		return g.encode(conn, byCount, [][]string{pick(g, [][]string{{"multi"}, {"watch", "s1"}, {"nosuch"}, {"get"}})})
	}
	return g.encode(conn, byCount, g.commands(dataTemplates, 1))
}

// transaction is all of one.
func (g *generator) transaction() [][]string {
	var commands [][]string
	if g.IntN(4) == 0 {
		commands = append(commands, []string{"watch", g.word("$k"), g.word("$k")})
	}
	commands = append(commands, []string{"multi"})
	commands = append(commands, g.commands(dataTemplates, g.IntN(6))...)
	switch g.IntN(6) {
	case 0:
		commands = append(commands, g.commands(brokenTemplates, 1)...)
	case 1:
		commands = append(commands, g.commands(pick(g, []string{blockingTemplates, scriptTemplates}), 1)...)
	case 2:
		commands = append(commands, pick(g, [][]string{{"multi"}, {"watch", "s1"}, {"unwatch"}, {"select", "1"}}))
	}
	return append(commands, []string{pick(g, []string{"exec", "exec", "exec", "discard", "reset"})})
}

// fed is a command that blocks until another connection sends.
func (g *generator) fed(conn int) turn {
	waits, feeds, _ := strings.Cut(g.line(feedTemplates), " => ")
	reset := [][]string{{"reset"}, {"del", "q1", "q2", "zq", "xq"}}
	x := g.encode(conn, byFeed, append(reset, g.expand(waits)...))
	feeder := g.encode((conn+1)%len(g.inMulti), byMarker, append([][]string{{"reset"}}, g.expand(feeds)...))
	g.inMulti[feeder.conn] = false // by RESET
	x.feeder, x.feed = feeder.conn, feeder.request
	x.text += fmt.Sprintf("\n   %d feeds> %s", feeder.conn, feeder.text)
	return x
}

// closing is what makes the server close, with commands before and after.
func (g *generator) closing(conn int) turn {
	x := g.encode(conn, byClose, g.commands(dataTemplates, g.IntN(3)))
	bad := pick(g, badRequests())
	x.request = append(x.request, bad...)
	x.text += fmt.Sprintf(" | %.60q", bad)
	if len(bad) < 1000 {
		after := g.encode(conn, byClose, g.commands(dataTemplates, g.IntN(3)))
		x.request = append(x.request, after.request...)
		x.text += " | " + after.text
	}
	return x
}

// badRequests are all ways to be cut off. Left out is what the proxy refuses and
// redis-server does not look at: the byte after a carriage return, the two bytes
// after a bulk.
func badRequests() []string {
	return []string{
		"*1\r\n$4\r\nQUIT\r\n", "quit\r\n", "QUIT now\r\n",
		"*x\r\n", "*\r\n", "* 1\r\n", "*1 \r\n", "*+1\r\n", "*01\r\n", "*-0\r\n", "*1x\r\n", "*2147483648\r\n", "*99999999999999999999\r\n",
		"*1\r\nPING\r\n", "*1\r\n:1\r\n", "*1\r\n\r\n", "*2\r\n$4\r\nPING\r\n*1\r\n", "*1\r\n+PING\r\n",
		"*1\r\n$x\r\n", "*1\r\n$\r\n", "*1\r\n$-1\r\n", "*1\r\n$-10\r\n", "*1\r\n$536870913\r\n", "*1\r\n$ 4\r\n", "*1\r\n$4 \r\n", "*1\r\n$04\r\n",
		"set a \"b\r\n", "set a 'b\r\n", "set a \"b\"c\r\n", "set a 'b'c\r\n", "\"\r\n",
		strings.Repeat("a", 64<<10+1), "*" + strings.Repeat("1", 64<<10), "*1\r\n$" + strings.Repeat("1", 64<<10),
	}
}

// commands makes n lines of templates, and spoils the number of arguments of some.
func (g *generator) commands(templates string, n int) [][]string {
	var commands [][]string
	for range n {
		made := g.expand(g.line(templates))
		last := &made[len(made)-1]
		if templates == dataTemplates && !strings.EqualFold((*last)[0], "command") && g.IntN(30) == 0 {
			if *last = append(*last, "7"); g.IntN(2) == 0 {
				*last = (*last)[:max(1, len(*last)-2)]
			}
		}
		commands = append(commands, made...)
	}
	return commands
}

func (g *generator) line(templates string) string {
	return pick(g, strings.Split(strings.TrimSpace(templates), "\n"))
}

// expand makes commands of a line.
func (g *generator) expand(line string) [][]string {
	var commands [][]string
	for part := range strings.SplitSeq(line, " ; ") {
		var words []string
		for _, word := range strings.Fields(part) {
			if word = pick(g, strings.Split(word, "|")); word != "" {
				words = append(words, g.word(word))
			}
		}
		if g.IntN(3) == 0 {
			words[0] = strings.ToUpper(words[0])
		}
		commands = append(commands, words)
	}
	return commands
}

// keys are few, so that commands meet.
var keys = map[string]int{"s": 3, "n": 2, "b": 2, "h": 2, "l": 3, "t": 3, "z": 3, "x": 2, "g": 2, "p": 2}

// word makes up what a dollar stands for: a key of a type, mostly, for one
// letter of keys; $k is any.
func (g *generator) word(word string) string {
	before, name, isVariable := strings.Cut(word, "$")
	if !isVariable || name == "" {
		if strings.Contains(word, `\`) {
			word, _ = strconv.Unquote(`"` + word + `"`)
		}
		return word
	}
	if keys[name] > 0 && g.IntN(30) == 0 {
		name = "k" // often of a wrong type
	}
	if name == "k" {
		names := make([]string, 0, len(keys))
		for name := range keys {
			names = append(names, name)
		}
		slices.Sort(names)
		name = pick(g, names)
	}
	if n := keys[name]; n > 0 {
		return before + name + strconv.Itoa(1+g.IntN(n))
	}
	return before + g.value(name)
}

func (g *generator) value(name string) string {
	switch name {
	case "v":
		return pick(g, values)
	case "w":
		return pick(g, values[:9])
	case "m":
		return string(rune('a' + g.IntN(8)))
	case "i":
		return strconv.Itoa(g.IntN(14) - 4)
	case "small":
		return strconv.Itoa(g.IntN(10))
	case "f":
		return pick(g, []string{"1.5", "-2", "3e2", "0", "inf", "1e-7", "x"})
	case "id":
		return fmt.Sprintf("%d-%d", g.IntN(60), g.IntN(3))
	case "lon", "lat":
		return strconv.Itoa(10 + g.IntN(30))
	case "future":
		return strconv.Itoa(4102444800 + g.IntN(100))
	case "lua":
		return pick(g, scripts)
	case "sha":
		return sha(pick(g, scripts))
	case "lib":
		return library
	case "push":
		return "return redis.call('rpush', KEYS[1], 'x')"
	}
	return "$" + name
}
