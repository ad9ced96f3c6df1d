package frame

import (
	"bytes"
	"regexp"
	"slices"
	"strconv"
	"testing"
)

// number as redis-server reads it: no sign but minus, no leading zero.
var slowNumber = regexp.MustCompile(`^(0|-?[1-9][0-9]{0,17})$`)

// slowRequest is Next without a thought of speed: the size of the first request
// and its arguments, 0 while it is incomplete, or false for what is no request.
func slowRequest(b []byte) (size int, args []string, ok bool) {
	if len(b) > 0 && b[0] != '*' {
		line, _, whole := bytes.Cut(b, []byte("\n"))
		if !whole {
			return 0, nil, len(b) <= MaxLine
		}
		return len(line) + 1, nil, true
	}
	rest := b
	count, rest, state := slowLine(rest, '*', 1<<31-1)
	for i := 0; state == lineWhole && i < count; i++ {
		var n int
		if n, rest, state = slowLine(rest, '$', MaxBulk); state != lineWhole {
			break
		}
		if n < 0 {
			return 0, nil, false
		}
		if len(rest) < n+2 {
			return 0, nil, true
		}
		if string(rest[n:n+2]) != "\r\n" {
			return 0, nil, false
		}
		args, rest = append(args, string(rest[:n])), rest[n+2:]
	}
	switch state {
	case lineWhole:
		return len(b) - len(rest), args, true
	case lineShort:
		return 0, nil, true
	}
	return 0, nil, false
}

const (
	lineWhole = iota
	lineShort
	lineWrong
)

// slowLine reads a line that is a type and a number.
func slowLine(b []byte, kind byte, most int) (n int, rest []byte, state int) {
	if len(b) == 0 {
		return 0, nil, lineShort
	}
	if b[0] != kind {
		return 0, nil, lineWrong
	}
	line, rest, found := bytes.Cut(b, []byte("\r"))
	switch {
	case !found && len(b) > MaxLine:
		return 0, nil, lineWrong
	case !found || len(rest) == 0:
		return 0, nil, lineShort
	case rest[0] != '\n' || !slowNumber.Match(line[1:]):
		return 0, nil, lineWrong
	}
	n, err := strconv.Atoi(string(line[1:]))
	if err != nil || n > most {
		return 0, nil, lineWrong
	}
	return n, rest[1:], lineWhole
}

// FuzzNext compares Next with slowRequest, and has it see every beginning of the
// request: none may be taken for a whole one or for a wrong one.
func FuzzNext(f *testing.F) {
	for _, seed := range []string{
		"*2\r\n$3\r\nGET\r\n$0\r\n\r\n", "*1\r\n$4\r\nPING\r\nPING\r\n", "*0\r\n", "*-1\r\n", "get k\r\n", "\n", "*1\r\n$-1\r\n", "*1\r\n$04\r\nPING\r\n",
		"*x\r\n", "*1\r\n:1\r\n", "*1\r\n$1\r\nab\r\n", "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100\r\nabc", "*1\n$4\n", "*99999999999999999999\r\n", "*1\r\n$12\r\n123456789012\r\n",
		"*2147483647\r\n$1\r\na\r\n", "*1\r\n$536870912\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := Next(in)
		size, args, ok := slowRequest(in)
		if got.Size != size || (err == nil) != ok {
			t.Fatalf("Next(%q) = %+v, %v; want size %d, ok %v", in, got, err, size, ok)
		}
		if err == nil && size == 0 && got.Need <= len(in) {
			t.Fatalf("Next(%q) needs %d bytes, which it has", in, got.Need)
		}
		if size == 0 {
			return
		}
		if !got.Inline {
			compareArgs(t, in[:size], got, args)
		}
		for cut := range size {
			if part, err := Next(in[:cut]); err != nil || part.Size != 0 || part.Need <= cut || part.Need > size {
				t.Fatalf("Next(%q) = %+v, %v; it is the beginning of %q", in[:cut], part, err, in[:size])
			}
		}
	})
}

func compareArgs(t *testing.T, request []byte, got Request, want []string) {
	args := Args(request)
	if got.Args > 0 && (string(got.Name) != want[0] || got.Args != len(want)) || len(args) != len(want) {
		t.Fatalf("%q has %d arguments, name %q, Args %q; want %q", request, got.Args, got.Name, args, want)
	}
	for i, arg := range args {
		if string(arg) != want[i] {
			t.Fatalf("%q has the arguments %q, want %q", request, args, want)
		}
	}
	if len(args) > 0 && string(Append(nil, args...)) != string(request) {
		t.Fatalf("Append(%q) = %q", args, Append(nil, args...))
	}
}

// slowReply is where the message at the start of b ends, 0 while it is
// incomplete, or false for what is none.
func slowReply(b []byte) (size int, ok bool) {
	line, _, found := bytes.Cut(b, []byte("\n"))
	if !found {
		return 0, len(b) <= MaxLine
	}
	pos := len(line) + 1
	if len(line) < 2 || line[len(line)-1] != '\r' {
		return 0, false
	}
	kind, text := line[0], line[1:len(line)-1]
	if bytes.IndexByte([]byte("+-:_,#("), kind) >= 0 {
		return pos, true
	}
	n, err := strconv.Atoi(string(text))
	if !slowNumber.Match(text) || err != nil || n < -1 || n > MaxBulk {
		return 0, false
	}
	children := 0
	switch kind {
	case '$', '=', '!':
		if n >= 0 {
			pos += n + 2
		}
		if pos > len(b) {
			return 0, true
		}
	case '*', '~', '>':
		children = n
	case '%':
		children = 2 * n
	case '|':
		children = 2*max(n, 0) + 1
	default:
		return 0, false
	}
	for range max(children, 0) {
		size, ok := slowReply(b[pos:])
		if !ok || size == 0 {
			return 0, ok
		}
		pos += size
	}
	return pos, true
}

// FuzzScanner compares the boundaries that a Scanner finds, however the stream is
// cut, with those of slowReply.
func FuzzScanner(f *testing.F) {
	for _, seed := range []string{
		"+OK\r\n:1\r\n", "$3\r\na\r\n\r\n+x\r\n", "*2\r\n$1\r\na\r\n*1\r\n:1\r\n-ERR\r\n", "%1\r\n+a\r\n~2\r\n:1\r\n_\r\n", "|1\r\n+k\r\n+v\r\n:3\r\n", "|0\r\n*0\r\n",
		">2\r\n+a\r\n,1.5\r\n", "=7\r\ntxt:abc\r\n", "$-1\r\n*-1\r\n", "*1\r\n*1\r\n*1\r\n:7\r\n", "%-1\r\n|-1\r\n+a\r\n", "x1\r\n", "+a\n", "$10\r\nabc",
	} {
		f.Add([]byte(seed), byte(3))
		f.Add([]byte(seed), byte(1))
	}
	f.Fuzz(func(t *testing.T, in []byte, chunk byte) {
		want, wantOK := []int{}, true
		for pos := 0; pos < len(in); {
			size, ok := slowReply(in[pos:])
			if wantOK = ok; size == 0 {
				break
			}
			pos += size
			want = append(want, pos)
		}
		for _, step := range []int{max(1, int(chunk)), 1, len(in) + 1} {
			got, ok := scan(t, in, step)
			if ok != wantOK || !slices.Equal(got, want) {
				t.Fatalf("%q in pieces of %d: messages end at %v, ok %v; want %v, %v", in, step, got, ok, want, wantOK)
			}
		}
	})
}

// scan has a Scanner see the stream grow by step bytes at a time.
func scan(t *testing.T, in []byte, step int) (ends []int, ok bool) {
	var s Scanner
	pos := 0
	for have := 0; have < len(in); {
		have = min(have+step, len(in))
		for {
			n, ended, err := s.Next(in[pos:have])
			if n < 0 || n > have-pos {
				t.Fatalf("%q: %d bytes of %d taken", in, n, have-pos)
			}
			if pos += n; err != nil {
				return ends, false
			}
			if ended {
				ends = append(ends, pos)
			}
			if ended != s.Between() && n > 0 {
				t.Fatalf("%q at %d: ended %v, between %v", in, pos, ended, s.Between())
			}
			if n == 0 || pos == have {
				break
			}
		}
	}
	return ends, true
}

// FuzzSplitInline has what it splits put in quotes and split again.
func FuzzSplitInline(f *testing.F) {
	for _, seed := range []string{"PING", `set "a b" 'c\'d' "\x00\n"`, `a "b`, `a "b"c`, "", "\t a\x00b "} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		args, err := SplitInline(line)
		if err != nil {
			return
		}
		var quoted []byte
		for _, arg := range args {
			quoted = append(quoted, '"')
			for _, c := range arg {
				quoted = append(quoted, `\x`...)
				quoted = append(quoted, "0123456789abcdef"[c>>4], "0123456789abcdef"[c&15])
			}
			quoted = append(quoted, "\"  "...)
		}
		again, err := SplitInline(quoted)
		if err != nil || len(again) != len(args) {
			t.Fatalf("%q is %q, in quotes %q, %v", line, args, again, err)
		}
		for i := range args {
			if string(args[i]) != string(again[i]) {
				t.Fatalf("%q is %q, in quotes %q", line, args, again)
			}
		}
	})
}
