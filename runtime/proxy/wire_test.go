package proxy_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

// patience bounds every wait of a test; machines that run tests are slow at times.
const patience = 20 * time.Second

// peer is a client that knows bytes and nothing else, so that no library hides
// what a proxy does to them.
type peer struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
}

// dial connects to "host:port" or the path of a socket, and closes the connection when the test ends.
func dial(t testing.TB, addr string) *peer {
	t.Helper()
	network := "tcp"
	if strings.HasPrefix(addr, "/") {
		network = "unix"
	}
	conn, err := net.DialTimeout(network, addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &peer{t: t, conn: conn, r: bufio.NewReaderSize(conn, 64<<10)}
}

// send writes, while others may read if it is much: a server that has to answer
// much does not read on before its answers are taken. An error is found by the
// reading side, as a reply that does not come.
func (p *peer) send(parts ...[]byte) {
	_ = p.conn.SetDeadline(time.Now().Add(patience))
	write := func() {
		for _, part := range parts {
			_, _ = p.conn.Write(part)
		}
	}
	if len(parts) == 1 && len(parts[0]) < 16<<10 {
		write()
		return
	}
	go write()
}

// reply reads one reply and returns its bytes.
func (p *peer) reply() ([]byte, error) { return readRaw(p.r, nil) }

// until reads replies up to the first that contains the marker.
func (p *peer) until(marker string) ([][]byte, error) {
	var replies [][]byte
	for {
		raw, err := p.reply()
		if err != nil {
			return replies, fmt.Errorf("after %d replies, before %s: %w", len(replies), marker, err)
		}
		replies = append(replies, raw)
		if bytes.Contains(raw, []byte(marker)) {
			return replies, nil
		}
	}
}

// rest reads until the server closes. What is no reply is the last of them.
func (p *peer) rest() ([][]byte, error) {
	var replies [][]byte
	for {
		raw, err := p.reply()
		if len(raw) > 0 {
			replies = append(replies, raw)
		}
		if err == io.EOF {
			return replies, nil
		}
		if err != nil {
			return replies, fmt.Errorf("after %d replies, before the end: %w", len(replies), err)
		}
	}
}

// ask sends one command and returns the bytes of its reply.
func (p *peer) ask(args ...string) string {
	p.t.Helper()
	p.send(command(args...))
	raw, err := p.reply()
	if err != nil {
		p.t.Fatalf("%q: %v", args, err)
	}
	return string(raw)
}

// want asks, and fails the test if the reply is another one.
func (p *peer) want(reply string, args ...string) {
	p.t.Helper()
	if got := p.ask(args...); got != reply {
		p.t.Errorf("%q is answered by %.200q, want %.200q", args, got, reply)
	}
}

// readRaw appends the bytes of one reply, RESP2 or RESP3, to raw. It is written
// without a look at the proxy's own framing, so that they check each other.
func readRaw(r *bufio.Reader, raw []byte) ([]byte, error) {
	line, err := r.ReadBytes('\n')
	raw = append(raw, line...)
	if err != nil {
		return raw, err
	}
	if len(line) < 3 || line[len(line)-2] != '\r' {
		return raw, fmt.Errorf("%.100q is no line", line)
	}
	n, lengthErr := strconv.Atoi(string(line[1 : len(line)-2]))
	children := 0
	switch line[0] {
	case '+', '-', ':', '_', ',', '#', '(':
		return raw, nil
	case '$', '=', '!':
		if lengthErr == nil && n >= 0 {
			at := len(raw)
			raw = append(raw, make([]byte, n+2)...)
			_, err := io.ReadFull(r, raw[at:])
			return raw, err
		}
	case '*', '~', '>':
		children = n
	case '%':
		children = 2 * n
	case '|': // what it is about comes after it
		children = 2*n + 1
	default:
		return raw, fmt.Errorf("%.100q is no reply", line)
	}
	for range children {
		if raw, err = readRaw(r, raw); err != nil {
			return raw, err
		}
	}
	return raw, lengthErr
}

// command is a request as client libraries write it.
func command(args ...string) []byte {
	b := fmt.Appendf(nil, "*%d\r\n", len(args))
	for _, arg := range args {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(arg), arg)
	}
	return b
}

// pipeline is many commands, each of words without blanks.
func pipeline(lines ...string) []byte {
	var b []byte
	for _, line := range lines {
		b = append(b, command(fields(line)...)...)
	}
	return b
}

func fields(line string) []string {
	var words []string
	for _, word := range bytes.Fields([]byte(line)) {
		words = append(words, string(word))
	}
	return words
}

func bulk(text string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(text), text) }
