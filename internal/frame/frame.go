// Package frame finds where RESP messages begin and end, and nothing more: a
// proxy passes bytes on as they came and needs no values. It understands
// RESP2 and RESP3 (redis.io, "Redis serialization protocol specification").
//
// Framing is stricter than that of redis-server, which does not look at the line
// feed after a carriage return nor at the two bytes after a bulk: what is read
// in two ways on two sides of a proxy is how replies get to the wrong client.
package frame

import "bytes"

// Limits of redis-server 7 (networking.c): the longest line, the longest bulk
// (proto-max-bulk-len as shipped) and the most arguments.
const (
	MaxLine = 64 << 10
	MaxBulk = 512 << 20
	MaxArgs = 1<<31 - 1
)

// Error is what a server answers to bytes that are no request, before it closes
// the connection. It has the words of redis-server.
type Error string

// Error is the text after "Protocol error: ".
func (e Error) Error() string { return string(e) }

// Request is one request at the start of some bytes.
type Request struct {
	// Size is the number of bytes that it takes; 0 while it is incomplete.
	Size int
	// Need is the least number of bytes that it takes, as far as can be seen.
	Need int
	// Args is the number of arguments, the name included; 0 for an empty line or
	// an empty array, which has no reply.
	Args int
	// Name is the first argument, nil until it has arrived.
	Name []byte
	// Inline is set when the request is a line, not an array; then Args and Name
	// are not set, see SplitInline.
	Inline bool
}

// Next looks at the request that b begins with.
func Next(b []byte) (Request, error) {
	if len(b) == 0 {
		return Request{Need: 1}, nil
	}
	if b[0] != '*' {
		return inline(b)
	}
	count, pos, err := number(b, 0, "too big mbulk count string", "invalid multibulk length")
	switch {
	case err != nil:
		return Request{}, err
	case pos == 0:
		return Request{Need: len(b) + 1}, nil
	case count > MaxArgs:
		return Request{}, Error("invalid multibulk length")
	case count <= 0:
		return Request{Size: pos, Need: pos}, nil
	}
	r := Request{Args: count}
	for i := range count {
		end, start, err := bulk(b, pos)
		if err != nil {
			return Request{}, err
		}
		if end == 0 || end > len(b) {
			// Every argument that is missing takes 5 bytes at least: $0, twice CRLF.
			r.Need = max(end, len(b)+1) + 5*min(count-i-1, MaxBulk)
			return r, nil
		}
		if b[end-2] != '\r' || b[end-1] != '\n' {
			return Request{}, Error("invalid bulk length")
		}
		if i == 0 {
			r.Name = b[start : end-2]
		}
		pos = end
	}
	r.Size, r.Need = pos, pos
	return r, nil
}

// bulk returns where the bulk at pos begins and where it ends, its CRLF
// included; 0 while its header is incomplete.
func bulk(b []byte, pos int) (end, start int, err error) {
	if pos >= len(b) {
		return 0, 0, nil
	}
	if b[pos] != '$' {
		return 0, 0, Error("expected '$', got '" + printable(b[pos]) + "'")
	}
	// The common case by hand: one or two digits.
	if pos+4 < len(b) {
		switch d := int(b[pos+1]) - '0'; {
		case d < 0 || d > 9:
		case b[pos+2] == '\r' && b[pos+3] == '\n':
			return pos + 6 + d, pos + 4, nil
		case d > 0 && b[pos+2] >= '0' && b[pos+2] <= '9' && b[pos+3] == '\r' && b[pos+4] == '\n':
			return pos + 7 + d*10 + int(b[pos+2]) - '0', pos + 5, nil
		}
	}
	size, start, err := number(b, pos, "too big bulk count string", "invalid bulk length")
	switch {
	case err != nil:
		return 0, 0, err
	case start == 0:
		return 0, 0, nil
	case size < 0 || size > MaxBulk:
		return 0, 0, Error("invalid bulk length")
	}
	return start + size + 2, start, nil
}

// number reads the line at pos, of which the first byte is a type, as a number.
// It returns where the next line begins, 0 while the line is incomplete.
func number(b []byte, pos int, long, wrong string) (n, next int, err error) {
	// The common case by hand: one digit.
	if pos+3 < len(b) && b[pos+1]-'0' <= 9 && b[pos+2] == '\r' && b[pos+3] == '\n' {
		return int(b[pos+1] - '0'), pos + 4, nil
	}
	end := bytes.IndexByte(b[pos:], '\r')
	switch {
	case end < 0 && len(b)-pos > MaxLine:
		return 0, 0, Error(long)
	case end < 0 || pos+end+1 == len(b):
		return 0, 0, nil
	case b[pos+end+1] != '\n':
		return 0, 0, Error(wrong)
	}
	n, ok := atoi(b[pos+1 : pos+end])
	if !ok {
		return 0, 0, Error(wrong)
	}
	return n, pos + end + 2, nil
}

// atoi reads a decimal number as redis-server does: no plus sign, no leading
// zero, no spaces.
func atoi(b []byte) (int, bool) {
	negative := len(b) > 0 && b[0] == '-'
	if negative {
		b = b[1:]
	}
	if len(b) == 0 || len(b) > 18 || b[0] == '0' && (len(b) > 1 || negative) {
		return 0, false
	}
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	if negative {
		n = -n
	}
	return n, true
}

func printable(c byte) string {
	if c == '\r' || c == '\n' {
		return " "
	}
	return string([]byte{c})
}
