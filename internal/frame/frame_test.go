package frame

import (
	"errors"
	"strings"
	"testing"
)

func TestNext(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]struct {
		size int
		name string
		err  Error
	}{
		"*1\r\n$4\r\nPING\r\n":                   {14, "PING", ""},
		"*1\r\n$4\r\nPING\r\n*1":                 {14, "PING", ""},
		"*2\r\n$3\r\nGET\r\n$0\r\n\r\n":          {19, "GET", ""},
		"*2\r\n$3\r\nGET\r\n$1\r\na":             {0, "GET", ""},
		"*2\r\n$3\r\nGE":                         {0, "", ""},
		"*0\r\n":                                 {4, "", ""},
		"*-1\r\nx":                               {5, "", ""},
		"PING a\r\nx":                            {8, "", ""},
		"\r\n":                                   {2, "", ""},
		"*x\r\n":                                 {0, "", "invalid multibulk length"},
		"*2147483648\r\n":                        {0, "", "invalid multibulk length"},
		"*01\r\n":                                {0, "", "invalid multibulk length"},
		"*1\r\n:1\r\n":                           {0, "", "expected '$', got ':'"},
		"*1\r\n$-1\r\n":                          {0, "", "invalid bulk length"},
		"*1\r\n$536870913\r\n":                   {0, "", "invalid bulk length"},
		"*1\r\n$1\r\nabc":                        {0, "", "invalid bulk length"},
		"*" + strings.Repeat("1", MaxLine) + "1": {0, "", "too big mbulk count string"},
		strings.Repeat("a", MaxLine+1):           {0, "", "too big inline request"},
	} {
		r, err := Next([]byte(in))
		var refused Error
		errors.As(err, &refused)
		if r.Size != want.size || string(r.Name) != want.name || refused != want.err {
			t.Errorf("Next(%.40q) = size %d name %q, %q; want %+v", in, r.Size, r.Name, refused, want)
		}
		if err == nil && r.Size == 0 && r.Need <= len(in) {
			t.Errorf("Next(%.40q) needs %d bytes and has %d", in, r.Need, len(in))
		}
	}
}

// TestNextNeeds tells that a big request is known as such by its header.
func TestNextNeeds(t *testing.T) {
	t.Parallel()
	r, err := Next([]byte("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\nabc"))
	if err != nil || r.Need != 20+9+100000+2 || string(r.Name) != "SET" {
		t.Errorf("got %+v, %v", r, err)
	}
}

// TestScannerCuts feeds every reply in two pieces cut at every byte.
func TestScannerCuts(t *testing.T) {
	t.Parallel()
	for _, reply := range []string{
		"+OK\r\n", "-ERR x\r\n", ":1\r\n", "$-1\r\n", "$0\r\n\r\n", "$3\r\na\r\n\r\n", "*0\r\n", "*-1\r\n",
		"*2\r\n$1\r\na\r\n*1\r\n:1\r\n", "%1\r\n+a\r\n~2\r\n:1\r\n_\r\n", "|1\r\n+k\r\n+v\r\n:3\r\n",
		">2\r\n+a\r\n,1.5\r\n", "=7\r\ntxt:abc\r\n", "#t\r\n", "(123\r\n", "!3\r\nERR\r\n", "*1\r\n*1\r\n*1\r\n:7\r\n",
	} {
		stream := reply + "+next\r\n"
		for cut := range len(stream) + 1 {
			if got := ends(t, []byte(stream), cut); got != len(reply) {
				t.Errorf("%q cut at %d: ends at %d, want %d", reply, cut, got, len(reply))
			}
		}
	}
}

// ends returns where the first message of a stream ends.
func ends(t *testing.T, stream []byte, cut int) int {
	t.Helper()
	var s Scanner
	pos := 0
	for _, limit := range []int{cut, len(stream)} {
		for {
			n, ended, err := s.Next(stream[pos:limit])
			if err != nil {
				t.Fatalf("%q cut at %d: %v", stream, cut, err)
			}
			pos += n
			if ended != s.Between() && (ended || n > 0) {
				t.Fatalf("%q cut at %d: ended %v but between %v", stream, cut, ended, s.Between())
			}
			if ended {
				return pos
			}
			if n == 0 {
				break
			}
		}
	}
	return -1
}

func TestScannerRefuses(t *testing.T) {
	t.Parallel()
	for _, in := range []string{"x\r\n", "\r\n", "+a\n", "$x\r\n", "$-2\r\n", "$?\r\n", "*99999999999\r\n", strings.Repeat("+", MaxLine+1)} {
		var s Scanner
		if _, _, err := s.Next([]byte(in)); err == nil {
			t.Errorf("%.20q is taken for a reply", in)
		}
	}
}

func TestSplitInline(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"PING\r\n":                  "PING",
		" set  a\tb \r\n":           "set|a|b",
		`a "b c" 'd\'e' "\x41\n\q"`: "a|b c|d'e|A\nq",
		"":                          "",
		`a ""`:                      "a|",
		`k"v"`:                      "kv",
		`a "b`:                      "error",
		`a "b"c`:                    "error",
	} {
		args, err := SplitInline([]byte(in))
		words := make([]string, len(args))
		for i, arg := range args {
			words[i] = string(arg)
		}
		got := strings.Join(words, "|")
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("SplitInline(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestAppendAndArgs(t *testing.T) {
	t.Parallel()
	request := Append(nil, []byte("SET"), []byte("k"), nil)
	if string(request) != "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n" {
		t.Errorf("Append gave %q", request)
	}
	if args := Args(request); len(args) != 3 || string(args[0]) != "SET" || string(args[1]) != "k" || len(args[2]) != 0 {
		t.Errorf("Args gave %q", args)
	}
}

func BenchmarkNext(b *testing.B) {
	request := []byte("*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000001\r\n$64\r\n" + strings.Repeat("x", 64) + "\r\n")
	for b.Loop() {
		_, _ = Next(request)
	}
}

func BenchmarkScanner(b *testing.B) {
	reply := []byte("$64\r\n" + strings.Repeat("x", 64) + "\r\n")
	var s Scanner
	for b.Loop() {
		_, _, _ = s.Next(reply)
	}
}
