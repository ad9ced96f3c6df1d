package host

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
)

// directive is one line of a redis.conf as a key with its arguments.
type directive struct {
	key  string // canonical, see canonical
	args []string
}

// line renders the directive, every argument quoted where it has to be.
func (d directive) line() string {
	words := []string{d.key}
	for _, arg := range d.args {
		words = append(words, quote(arg))
	}
	return strings.Join(words, " ")
}

// confLine is one line of a file; key is empty for comments and blank lines.
type confLine struct {
	raw string
	directive
}

// parseConf splits a redis.conf or sentinel.conf into lines. Lines that Redis
// would refuse, such as with an open quote, keep their key and no arguments.
func parseConf(text []byte) []confLine {
	var lines []confLine
	for raw := range bytes.Lines(text) {
		line := confLine{raw: strings.TrimRight(string(raw), "\r\n")}
		trimmed := strings.TrimSpace(line.raw)
		if trimmed != "" && trimmed[0] != '#' {
			words, ok := splitArgs(trimmed)
			if !ok || len(words) == 0 {
				words = strings.Fields(trimmed)[:1]
			}
			line.key, line.args = canonical(words)
		}
		lines = append(lines, line)
	}
	return lines
}

// mergeConf puts the managed directives into a file that Redis co-owns. All
// lines whose key is in drop or among the directives go; the directives stand
// where the first line of their key was, or at the end. Everything else, such as
// what Sentinel learned, stays as it is.
func mergeConf(text []byte, managed []directive, drop []string) []byte {
	byKey := map[string][]directive{}
	for _, d := range managed {
		byKey[d.key] = append(byKey[d.key], d)
	}
	var out bytes.Buffer
	placed := map[string]bool{}
	put := func(key string) {
		if placed[key] {
			return
		}
		placed[key] = true
		for _, d := range byKey[key] {
			out.WriteString(d.line() + "\n")
		}
	}
	for _, line := range parseConf(text) {
		switch _, ours := byKey[line.key]; {
		case line.key != "" && ours:
			put(line.key)
		case line.key != "" && slices.Contains(drop, line.key):
		default:
			out.WriteString(line.raw + "\n")
		}
	}
	for _, d := range managed {
		put(d.key)
	}
	return out.Bytes()
}

// canonical returns the key of a line and the arguments left. Names from before
// Redis 5 (slaveof, slave-priority) become today's; "sentinel" takes its
// subcommand and "user" its name into the key, as only these repeat.
func canonical(words []string) (key string, args []string) {
	key, args = canonicalKey(words[0]), words[1:]
	if (key == "sentinel" || key == "user") && len(args) > 0 {
		key, args = key+" "+args[0], args[1:]
	}
	return key, args
}

func canonicalKey(key string) string {
	return strings.ReplaceAll(strings.ToLower(key), "slave", "replica")
}

// render turns a value as CONFIG SET takes it into the lines of a file.
func render(key, value string) []directive {
	key = canonicalKey(key)
	words, ok := splitArgs(value)
	if !ok {
		words = []string{value}
	}
	one := func(args ...string) []directive { return []directive{{key: key, args: args}} }
	switch {
	case key == "save": // a line per pair, which Redis before 7.0 needs
		return chunks(key, words, 2)
	case key == "client-output-buffer-limit":
		return chunks(key, words, 4)
	case slices.Contains(manyArgs, key) && len(words) > 0:
		return one(words...)
	}
	return one(value)
}

// manyArgs are the directives with several arguments on a line; everywhere else
// a blank belongs to the value.
var manyArgs = []string{"bind", "loadmodule", "oom-score-adj-values", "latency-tracking-info-percentiles",
	"rename-command", "shutdown-on-sigint", "shutdown-on-sigterm", "replicaof"}

// chunks makes a line of every size words, and `key ""` of none, which is how
// redis.conf says "empty".
func chunks(key string, words []string, size int) []directive {
	if len(words) == 0 || len(words) == 1 && words[0] == "" {
		return []directive{{key: key, args: []string{""}}}
	}
	var lines []directive
	for chunk := range slices.Chunk(words, size) {
		lines = append(lines, directive{key: key, args: chunk})
	}
	return lines
}

// splitArgs splits a line into words as Redis does (sdssplitargs in sds.c):
// double quotes with escapes, single quotes with \' only, and a blank after a
// closing quote. False for an open quote.
func splitArgs(line string) (words []string, ok bool) {
	for {
		line = strings.TrimLeft(line, " \t\r\n\v\f\x00")
		if line == "" {
			return words, true
		}
		word, rest, ok := nextArg(line)
		if !ok {
			return nil, false
		}
		words, line = append(words, word), rest
	}
}

func nextArg(line string) (word, rest string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(line); {
		switch c := line[i]; c {
		case ' ', '\t', '\r', '\n', 0:
			return b.String(), line[i:], true
		case '"', '\'':
			n, ok := quoted(&b, line[i:])
			if !ok {
				return "", "", false
			}
			i += n
			if i < len(line) && !strings.ContainsRune(" \t\r\n\v\f", rune(line[i])) {
				return "", "", false
			}
			return b.String(), line[i:], true
		default:
			b.WriteByte(c)
			i++
		}
	}
	return b.String(), "", true
}

// quoted writes what stands in the quotes that s begins with and returns the
// length with both quotes.
func quoted(b *strings.Builder, s string) (n int, ok bool) {
	quote := s[0]
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == quote:
			return i + 1, true
		case c != '\\' || i+1 == len(s):
			b.WriteByte(c)
		case quote == '\'':
			if s[i+1] == '\'' {
				i++
			}
			b.WriteByte(s[i])
		case s[i+1] == 'x' && i+3 < len(s) && isHex(s[i+2:i+4]):
			code, _ := strconv.ParseUint(s[i+2:i+4], 16, 8)
			b.WriteByte(byte(code))
			i += 3
		default:
			i++
			b.WriteByte(unescape(s[i]))
		}
	}
	return 0, false
}

func isHex(s string) bool {
	_, err := strconv.ParseUint(s, 16, 8)
	return err == nil && !strings.ContainsAny(s, "+-_")
}

func unescape(c byte) byte {
	if i := strings.IndexByte("nrtba", c); i >= 0 {
		return "\n\r\t\b\a"[i]
	}
	return c
}

// quote renders one word so that splitArgs gives it back.
func quote(word string) string {
	plain := word != "" && word[0] != '#'
	for i := 0; i < len(word) && plain; i++ {
		plain = word[i] > ' ' && word[i] < 0x7f && word[i] != '"' && word[i] != '\'' && word[i] != '\\'
	}
	if plain {
		return word
	}
	b := []byte{'"'}
	for i := 0; i < len(word); i++ {
		switch c := word[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ' || c >= 0x7f:
			b = append(b, '\\', 'x', "0123456789abcdef"[c>>4], "0123456789abcdef"[c&15])
		default:
			b = append(b, c)
		}
	}
	return string(append(b, '"'))
}
