package resp

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"time"
)

// Conn is one connection to a server. It is not safe for concurrent use; the
// caller closes it.
type Conn struct {
	conn net.Conn
	r    *bufio.Reader
}

// Dial connects to a TCP address "host:port".
func Dial(ctx context.Context, addr string) (*Conn, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return NewConn(conn), nil
}

// NewConn speaks RESP on a connection that the caller has made, over TLS for
// example.
func NewConn(conn net.Conn) *Conn { return &Conn{conn: conn, r: bufio.NewReader(conn)} }

// Do sends one command and reads its reply, until ctx's deadline. An error
// reply comes back as an Error. After any other error the connection is of no
// more use.
func (c *Conn) Do(ctx context.Context, args ...string) (any, error) {
	deadline, _ := ctx.Deadline() // the zero time means no deadline
	if err := c.conn.SetDeadline(deadline); err != nil {
		return nil, fmt.Errorf("set deadline: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = c.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := c.conn.Write(AppendCommand(nil, args...)); err != nil {
		return nil, err
	}
	reply, err := Read(c.r)
	if err != nil {
		return nil, err
	}
	if refused, ok := reply.(Error); ok {
		return nil, refused
	}
	return reply, nil
}

// Send writes commands in one piece, until the deadline (the zero time means
// none), and does not wait for replies. It may be called while another
// goroutine is in Receive.
func (c *Conn) Send(deadline time.Time, commands ...[]string) error {
	if err := c.conn.SetWriteDeadline(deadline); err != nil {
		return fmt.Errorf("set deadline: %w", err)
	}
	var wire []byte
	for _, args := range commands {
		wire = AppendCommand(wire, args...)
	}
	_, err := c.conn.Write(wire)
	return err
}

// Receive reads the next reply or message, until the deadline (the zero time
// means none). An error reply is a value of type Error. After an error the
// connection is of no more use.
func (c *Conn) Receive(deadline time.Time) (any, error) {
	if err := c.conn.SetReadDeadline(deadline); err != nil {
		return nil, fmt.Errorf("set deadline: %w", err)
	}
	return Read(c.r)
}

// Close closes the connection. It may be called at any time, by any goroutine.
func (c *Conn) Close() error { return c.conn.Close() }
