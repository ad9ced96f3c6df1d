package relay

import (
	"fmt"
	"strconv"
	"unicode/utf8"

	"rsm/runtime/proxy/command"
)

// line reads the number in the line at the start of b, of which the first byte is
// a type. It returns what follows the line, nil when there is no such line.
func line(b []byte) (int, []byte) {
	n := 0
	for i := 1; i < len(b); i++ {
		switch c := b[i]; {
		case c >= '0' && c <= '9' && n < 1<<40:
			n = 10*n + int(c-'0')
		case c == '\r' && i > 1 && i+2 <= len(b):
			return n, b[i+2:]
		default:
			return 0, nil
		}
	}
	return 0, nil
}

// arguments is the number of arguments of a request, its name included.
func arguments(raw []byte) int {
	n, _ := line(raw)
	return n
}

// argument returns one argument of a request that is an array, in place; nil when
// it has none or the request is cut. 0 is the name. It allocates nothing, and
// does not look at the arguments after.
func argument(raw []byte, index int) []byte {
	count, rest := line(raw)
	if index >= count {
		return nil
	}
	for {
		size, text := line(rest)
		if text == nil || size+2 > len(text) {
			return nil
		}
		if index == 0 {
			return text[:size:size]
		}
		index--
		rest = text[size+2:]
	}
}

// firstKey returns the first key of a request, in place, nil when it has none or
// it is not known where it is.
func firstKey(raw []byte, cmd *command.Command, args int) []byte {
	switch at := cmd.FirstKey; {
	case at > 0 && at < args:
		return argument(raw, at)
	case at == 0 && args > 3 && runsScript(cmd.Name):
		if n := argument(raw, 2); len(n) > 0 && n[0] >= '1' && n[0] <= '9' {
			return argument(raw, 3)
		}
	}
	return nil
}

// runsScript reports whether a command has a script, the number of keys, and then
// the keys.
func runsScript(name string) bool {
	switch name {
	case "eval", "evalsha", "eval_ro", "evalsha_ro", "fcall", "fcall_ro":
		return true
	}
	return false
}

// keyText makes a key fit for reading: one that is no plain text is quoted as Go
// does, and one that was longer says so.
func keyText(key []byte, size int) string {
	text := string(key)
	if size > len(key) {
		for i := 0; i < utf8.UTFMax && !utf8.ValidString(text); i++ { // cut in a character
			text = text[:len(text)-1]
		}
	}
	plain := utf8.ValidString(text)
	for _, c := range text {
		plain = plain && strconv.IsPrint(c)
	}
	if !plain {
		text = strconv.Quote(string(key))
	}
	if size > len(key) {
		text += fmt.Sprintf("… (%d bytes)", size)
	}
	return text
}
