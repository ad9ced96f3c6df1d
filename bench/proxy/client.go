package proxy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// client is a connection that speaks enough RESP2 for this program. One
// goroutine uses it.
type client struct {
	conn    net.Conn
	r       *bufio.Reader
	timeout time.Duration // of one do
}

// refused is an error that a server has replied.
type refused string

func (e refused) Error() string { return string(e) }

// dial connects; whoever gets the client closes it.
func dial(addr string, timeout time.Duration) (*client, error) {
	conn, err := net.DialTimeout("tcp", addr, timeout)
	if err != nil {
		return nil, err
	}
	return &client{conn: conn, r: bufio.NewReader(conn), timeout: timeout}, nil
}

func (c *client) close() { _ = c.conn.Close() }

// do sends a command and returns its reply: the words of an array, or one word.
func (c *client) do(words ...string) ([]string, error) {
	if err := c.conn.SetDeadline(time.Now().Add(c.timeout)); err != nil {
		return nil, err
	}
	if _, err := c.conn.Write(command(nil, words...)); err != nil {
		return nil, err
	}
	return c.reply()
}

// pipeline sends commands in one piece and hands each reply to each, which may be
// nil.
func (c *client) pipeline(commands [][]string, each func(i int, reply []string)) error {
	if err := c.conn.SetDeadline(time.Now().Add(c.timeout)); err != nil {
		return err
	}
	var b []byte
	for _, words := range commands {
		b = command(b, words...)
	}
	if _, err := c.conn.Write(b); err != nil {
		return err
	}
	for i := range commands {
		reply, err := c.reply()
		if err != nil {
			return err
		}
		if each != nil {
			each(i, reply)
		}
	}
	return nil
}

// command appends an array of bulk strings.
func command(b []byte, words ...string) []byte {
	b = fmt.Appendf(b, "*%d\r\n", len(words))
	for _, word := range words {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(word), word)
	}
	return b
}

// reply reads one reply; arrays hold no arrays.
func (c *client) reply() ([]string, error) {
	line, err := c.r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	kind, text := line[0], strings.TrimRight(line[1:], "\r\n")
	switch kind {
	case '+', ':':
		return []string{text}, nil
	case '-':
		return nil, refused(text)
	}
	n, err := strconv.Atoi(text)
	if err != nil || (kind != '$' && kind != '*') {
		return nil, fmt.Errorf("read reply: bad line %q", line)
	}
	if n < 0 {
		return []string{""}, nil
	}
	if kind == '$' {
		body := make([]byte, n+2)
		_, err := io.ReadFull(c.r, body)
		return []string{string(body[:n])}, err
	}
	var words []string
	for range n {
		item, err := c.reply()
		if err != nil {
			return nil, err
		}
		words = append(words, item...)
	}
	return words, nil
}

// ask does one command on a connection of its own.
func ask(addr string, words ...string) ([]string, error) {
	c, err := dial(addr, 2*time.Second)
	if err != nil {
		return nil, err
	}
	defer c.close()
	return c.do(words...)
}

// isRefused tells a reply that is an error from a broken connection.
func isRefused(err error) bool {
	_, ok := errors.AsType[refused](err)
	return ok
}
