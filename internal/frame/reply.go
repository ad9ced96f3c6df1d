package frame

import "bytes"

// Scanner finds where messages end in a stream that arrives in pieces. The zero
// value stands at the start of a message. It holds no bytes, so a bulk of 512 MB
// costs it nothing.
type Scanner struct {
	left int // elements still to come of the message that has begun
	rest int // bytes still to come of the bulk that has begun, its CRLF included
}

// Between reports whether the scanner stands between two messages.
func (s *Scanner) Between() bool { return s.left == 0 && s.rest == 0 }

// Rest is how many bytes are known to come of a bulk that has begun.
func (s *Scanner) Rest() int { return s.rest }

// Next scans on in b. It returns how many bytes it is done with, and whether a
// message ends right after them. If no message ended, the bytes that it is not
// done with are a line that is not complete: give them again with what follows.
// The error means that the bytes are no RESP; then all is lost.
func (s *Scanner) Next(b []byte) (n int, ended bool, err error) {
	if s.rest > 0 {
		if s.rest > len(b) {
			s.rest -= len(b)
			return len(b), false, nil
		}
		n, s.rest = s.rest, 0
		s.left--
		if s.left == 0 {
			return n, true, nil
		}
	}
	fresh := n == 0 && s.left == 0
	if fresh {
		s.left = 1
	}
	for n < len(b) {
		size, err := s.element(b[n:])
		if err != nil {
			return n, false, err
		}
		if size == 0 {
			break
		}
		n += size
		if s.rest > 0 { // the bulk is longer than b
			return n, false, nil
		}
		if s.left == 0 {
			return n, true, nil
		}
	}
	if fresh && n == 0 {
		s.left = 0 // nothing was taken: still between two messages
	}
	return n, false, s.keep(b[n:])
}

// keep refuses a line that is too long to be one.
func (s *Scanner) keep(line []byte) error {
	if len(line) > MaxLine {
		return Error("a reply line longer than 64 kB")
	}
	return nil
}

// element takes one line, and the bulk that belongs to it as far as b has it.
// It returns 0 when the line is incomplete.
func (s *Scanner) element(b []byte) (int, error) {
	end := bytes.IndexByte(b, '\n')
	if end < 0 {
		return 0, nil
	}
	if end < 2 || b[end-1] != '\r' {
		return 0, Error("a reply line without CRLF")
	}
	switch b[0] {
	case '+', '-', ':', '_', ',', '#', '(':
		s.left--
		return end + 1, nil
	}
	count, ok := atoi(b[1 : end-1])
	if !ok || count < -1 || count > MaxBulk {
		return 0, Error("a reply length that is no number")
	}
	switch b[0] {
	case '$', '=', '!':
		return s.bulk(count, end+1, len(b)), nil
	case '*', '~', '>':
		s.left += max(count, 0) - 1
	case '%':
		s.left += 2*max(count, 0) - 1
	case '|': // an attribute is not the reply, only its forerunner
		s.left += 2 * max(count, 0)
	default:
		return 0, Error("a reply of an unknown type")
	}
	return end + 1, nil
}

// bulk takes a bulk of some size whose content starts at start.
func (s *Scanner) bulk(size, start, have int) int {
	if size < 0 {
		s.left--
		return start
	}
	end := start + size + 2
	if end > have {
		s.rest = end - have
		return have
	}
	s.left--
	return end
}
