package proxy_test

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// values are what replies are most easily mistaken for, and everyday ones. The
// first are short.
var values = []string{
	"", "a", "hello", "-1", "100", "3.5", "x y", "\r\n", "\x00\xff\r\n\t\"'\\",
	"$5\r\nhello\r\n", "*1\r\n$4\r\nPING\r\n", "+OK\r\n", "-ERR no\r\n", ":1\r\n", ">2\r\n+a\r\n+b\r\n",
	strings.Repeat("long ", 60), strings.Repeat("\r\n", 50), "99999999999999999999",
}

var scripts = []string{
	"return {KEYS[1],ARGV[1]}",
	"return redis.call('set', KEYS[1], ARGV[1])",
	"return redis.call('get', KEYS[1])",
	"return redis.pcall('lpush', KEYS[1], 'x')",
	"return redis.call('hgetall', KEYS[2])",
	"redis.setresp(3); return redis.call('hgetall', KEYS[2])",
	"return redis.call('nosuch')",
	"return redis.error_reply('MINE broken')",
	"return redis.status_reply('FINE')",
	"return {1, 2, {3, 'x', false}, nil, 5}",
	"return {double=3.25}",
	"return {map={a=1}}",
	"return {set={a=true}}",
	"return true",
	"return false",
	"return 3.99",
	"error('boom')",
	"return return",
	"local t = {} for i = 1, 200 do t[i] = ARGV[1] end return t",
	"return cmsgpack.pack({1, 'a', {KEYS[1]}})",
	"return redis.call('publish', 'ch:1', 'from lua')",
	"return redis.call('incr', 'n1') + redis.call('incr', 'n1')",
	"#!lua flags=no-writes\nreturn redis.call('set', KEYS[1], 'x')",
}

// library has one function: FUNCTION LIST has no order.
const library = `#!lua name=lib1
redis.register_function('f1', function(keys, args) return redis.call('set', keys[1], args[1]) end)`

func sha(script string) string {
	sum := sha1.Sum([]byte(script))
	return hex.EncodeToString(sum[:])
}

// encode writes commands in the forms that a server takes, with the empty ones
// between that it passes over.
func (g *generator) encode(conn int, ends ending, commands [][]string) turn {
	x := turn{conn: conn, ends: ends}
	texts := make([]string, len(commands))
	for i, words := range commands {
		if g.IntN(40) == 0 && !isReplySwitch(commands) {
			x.request = append(x.request, pick(g, []string{"\r\n", "\n", " \r\n", "*0\r\n", "*-1\r\n", "*-7\r\n"})...)
		}
		if g.IntN(12) == 0 && words[0] != "" {
			x.request = append(x.request, g.inline(words)...)
			texts[i] = "inline "
		} else {
			x.request = append(x.request, command(words...)...)
		}
		texts[i] += text(words)
	}
	x.text = strings.Join(texts, " ; ")
	return x
}

// isReplySwitch reports whether there is a CLIENT REPLY: an empty request takes
// the place of the one that redis-server skips, which is not for a proxy to copy.
func isReplySwitch(commands [][]string) bool {
	return slices.ContainsFunc(commands, func(words []string) bool { return len(words) > 2 && words[1] == "reply" })
}

// inline writes a command as a line.
func (g *generator) inline(words []string) []byte {
	var b []byte
	for i, word := range words {
		if i > 0 {
			b = append(b, pick(g, []string{" ", " ", "  ", "\t"})...)
		}
		b = append(b, g.quote(word)...)
	}
	return append(b, pick(g, []string{"\r\n", "\n", " \r\n"})...)
}

func (g *generator) quote(word string) string {
	const special = "\"'\\ \t\r\n\v\f\a\b"
	plain := word != "" && !strings.ContainsAny(word, special+"\x00")
	switch g.IntN(3) {
	case 0:
		if plain && word[0] != '*' {
			return word
		}
	case 1:
		if !strings.ContainsAny(word, "\n\x00\\") {
			return "'" + strings.ReplaceAll(word, "'", `\'`) + "'"
		}
	}
	var b strings.Builder
	for _, c := range []byte(word) {
		switch at := strings.IndexByte("\n\r\t\a\b", c); {
		case at >= 0 && g.IntN(2) == 0:
			b.WriteString(`\` + string("nrtab"[at]))
		case c == '"' || c == '\\':
			b.WriteString(`\` + string(c))
		case c < ' ' || c > '~' || g.IntN(20) == 0:
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	return `"` + b.String() + `"`
}

// text is a command for people.
func text(words []string) string {
	var b strings.Builder
	for i, word := range words {
		if i > 0 {
			b.WriteByte(' ')
		}
		if short := fmt.Sprintf("%q", word); len(short) > 80 {
			fmt.Fprintf(&b, "%s…(%d bytes)", short[:80], len(word))
		} else if strings.Trim(short, `"`) == word && word != "" && !strings.Contains(word, " ") {
			b.WriteString(word)
		} else {
			b.WriteString(short)
		}
	}
	return b.String()
}
