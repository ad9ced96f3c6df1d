package follow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"rsm/internal/resp"
	"rsm/schema"
)

// errSilent is the cause of every deadline that passed.
var errSilent = errors.New("no answer")

// dialFunc makes a connection to a server.
type dialFunc func(ctx context.Context, addr schema.Addr) (net.Conn, error)

func dialTCP(ctx context.Context, addr schema.Addr) (net.Conn, error) {
	var dialer net.Dialer
	return dialer.DialContext(ctx, "tcp", string(addr))
}

// link is a connection to one server that is kept between questions, and made
// again when it broke. It is used by one goroutine.
type link struct {
	addr   schema.Addr
	dial   dialFunc
	secret func() (string, error)
	// greet, unless nil, is asked first on each new connection, and heard gets the
	// answer.
	greet []string
	heard func(any)
	conn  *resp.Conn
}

// ask sends the commands in one piece and returns a reply for each, error replies
// as values. It answers within the limit. An idle connection that turns out to be
// broken is made again.
func (l *link) ask(ctx context.Context, limit time.Duration, commands ...[]string) ([]any, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errSilent)
	defer cancel()
	kept := l.conn != nil
	replies, err := l.try(ctx, commands)
	if err != nil && kept && ctx.Err() == nil {
		replies, err = l.try(ctx, commands)
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return replies, err
}

func (l *link) try(ctx context.Context, commands [][]string) ([]any, error) {
	if l.conn == nil {
		if err := l.open(ctx); err != nil {
			return nil, err
		}
	}
	replies, err := exchange(ctx, l.conn, commands)
	if err != nil || unauthenticated(replies) {
		l.close() // the next connection reads the password anew
	}
	return replies, err
}

// open connects, logs in and greets.
func (l *link) open(ctx context.Context) error {
	conn, err := connect(ctx, l.dial, l.addr, l.secret)
	if err != nil {
		return err
	}
	if l.greet != nil {
		replies, err := exchange(ctx, conn, [][]string{l.greet})
		if err != nil {
			_ = conn.Close()
			return err
		}
		if said, ok := first(replies).(resp.Error); ok && !strings.HasPrefix(string(said), "NOPERM") {
			_ = conn.Close() // DENIED, for example, or too many clients
			return said
		}
		l.heard(first(replies))
	}
	l.conn = conn
	return nil
}

func (l *link) close() {
	if l.conn != nil {
		_ = l.conn.Close()
		l.conn = nil
	}
}

// connect dials and sends AUTH when there is a password. A server that has none
// yet takes everybody.
func connect(ctx context.Context, dial dialFunc, addr schema.Addr, secret func() (string, error)) (*resp.Conn, error) {
	password := ""
	if secret != nil {
		var err error
		if password, err = secret(); err != nil {
			return nil, fmt.Errorf("read password: %w", err)
		}
	}
	raw, err := dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	conn := resp.NewConn(raw)
	if password == "" {
		return conn, nil
	}
	replies, err := exchange(ctx, conn, [][]string{{"AUTH", password}})
	if said, ok := first(replies).(resp.Error); ok && !strings.Contains(string(said), "without any password configured") {
		err = said
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// exchange writes the commands and reads their replies. It closes the connection
// when ctx ends first.
func exchange(ctx context.Context, conn *resp.Conn, commands [][]string) ([]any, error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if err := conn.Send(time.Time{}, commands...); err != nil {
		return nil, err
	}
	replies := make([]any, len(commands))
	for i := range replies {
		var err error
		if replies[i], err = conn.Receive(time.Time{}); err != nil {
			return nil, err
		}
	}
	return replies, nil
}

func first(replies []any) any {
	if len(replies) == 0 {
		return nil
	}
	return replies[0]
}

// unauthenticated tells whether the server wants a password that this
// connection did not give.
func unauthenticated(replies []any) bool {
	for _, reply := range replies {
		if refused, ok := reply.(resp.Error); ok && strings.HasPrefix(string(refused), "NOAUTH") {
			return true
		}
	}
	return false
}

// brief is an error in few words, without addresses that the reader knows.
func brief(err error) string {
	var number syscall.Errno
	switch {
	case errors.Is(err, io.EOF):
		return "connection closed"
	case errors.As(err, &number):
		return number.Error()
	}
	return err.Error()
}

// refused tells whether an error proves that nothing serves at the address.
func refused(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF)
}
