// Package resp reads and writes the Redis serialization protocol, version 2
// (redis.io, "Redis serialization protocol specification"): as much of it as is
// needed to talk to one server without a client library.
package resp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// Error is an error reply of the server, without the leading "-".
type Error string

// Error returns the text of the reply, for example "NOAUTH Authentication
// required.".
func (e Error) Error() string { return string(e) }

// ErrProtocol is returned for bytes that are no RESP2.
var ErrProtocol = errors.New("bytes that are no RESP")

// The protocol's own limits: 512 MB for a bulk, 1M elements for a command. A
// reply nests no deeper than EXEC with CLUSTER SLOTS inside.
const (
	maxBulk  = 512 << 20
	maxArray = 1 << 20
	maxDepth = 16
)

// AppendCommand appends a command as an array of bulk strings.
func AppendCommand(b []byte, args ...string) []byte {
	b = fmt.Appendf(b, "*%d\r\n", len(args))
	for _, arg := range args {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(arg), arg)
	}
	return b
}

// Read reads one reply: string for simple and bulk strings, int64, []any, nil
// for null, Error for an error reply (as the value, not as the error). The
// error is ErrProtocol or what the reader returned.
func Read(r *bufio.Reader) (any, error) { return read(r, 0) }

func read(r *bufio.Reader, depth int) (any, error) {
	line, err := readLine(r)
	if err != nil {
		return nil, err
	}
	if line == "" || depth > maxDepth {
		return nil, fmt.Errorf("read reply: %w", ErrProtocol)
	}
	switch text := line[1:]; line[0] {
	case '+':
		return text, nil
	case '-':
		return Error(text), nil
	case ':':
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("read integer %q: %w", text, ErrProtocol)
		}
		return n, nil
	case '$':
		return readBulk(r, text)
	case '*':
		return readArray(r, text, depth)
	}
	return nil, fmt.Errorf("read reply %.20q: %w", line, ErrProtocol)
}

// ReadCommand reads one command, as a server does. Inline commands are not
// understood.
func ReadCommand(r *bufio.Reader) ([]string, error) {
	reply, err := Read(r)
	if err != nil {
		return nil, err
	}
	words, ok := reply.([]any)
	if !ok || len(words) == 0 {
		return nil, fmt.Errorf("read command: %w", ErrProtocol)
	}
	args := make([]string, len(words))
	for i, word := range words {
		if args[i], ok = word.(string); !ok {
			return nil, fmt.Errorf("read command: %w", ErrProtocol)
		}
	}
	return args, nil
}

func readLine(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	if len(line) < 2 || line[len(line)-2] != '\r' {
		return "", fmt.Errorf("read line %.20q: %w", line, ErrProtocol)
	}
	return line[:len(line)-2], nil
}

func readBulk(r *bufio.Reader, text string) (any, error) {
	n, err := strconv.Atoi(text)
	switch {
	case err != nil || n < -1 || n > maxBulk:
		return nil, fmt.Errorf("read bulk length %.20q: %w", text, ErrProtocol)
	case n == -1:
		return nil, nil
	}
	buf, err := io.ReadAll(io.LimitReader(r, int64(n)+2)) // grows with what arrives, not with what is claimed
	switch {
	case err != nil:
		return nil, err
	case len(buf) < n+2:
		return nil, io.ErrUnexpectedEOF
	case string(buf[n:]) != "\r\n":
		return nil, fmt.Errorf("read bulk end: %w", ErrProtocol)
	}
	return string(buf[:n]), nil
}

func readArray(r *bufio.Reader, text string, depth int) (any, error) {
	n, err := strconv.Atoi(text)
	switch {
	case err != nil || n < -1 || n > maxArray:
		return nil, fmt.Errorf("read array length %.20q: %w", text, ErrProtocol)
	case n == -1:
		return nil, nil
	}
	items := []any{}
	for range n {
		item, err := read(r, depth+1)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	return items, nil
}
