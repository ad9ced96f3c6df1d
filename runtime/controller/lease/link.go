package lease

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"rsm/internal/resp"
	"rsm/schema"
)

// link is the connection to one Sentinel. It is used by one goroutine at a time.
type link struct {
	addr     schema.Addr
	options  *Options
	prefix   string // of all connections of the lease
	name     string // of the own ones
	token    string
	patience time.Duration // for an answer that is too late to count

	conn  *resp.Conn
	id    int64
	named time.Time
}

// look asks the Sentinel who is first. It connects when there is no connection,
// or when it has broken since the last look: the place is lost then.
func (l *link) look(ctx context.Context, asked time.Time) look {
	ctx, cancel := context.WithTimeout(ctx, l.patience)
	defer cancel()
	queue, err := l.ask(ctx)
	if err != nil && ctx.Err() == nil {
		l.close()
		if err = l.open(ctx, asked); err == nil {
			queue, err = l.ask(ctx)
		}
	}
	seen := look{asked: asked, got: l.options.Now(), reach: up, mine: l.id, named: l.named, queue: queue}
	if err != nil {
		l.close()
		seen = look{asked: asked, got: seen.got, why: why(err)}
		if errors.Is(err, syscall.ECONNREFUSED) {
			seen.reach = down
		}
	}
	return seen
}

var errNoConnection = errors.New("no connection")

// ask lists the queue, and removes its head when that is stale.
func (l *link) ask(ctx context.Context) ([]claim, error) {
	if l.conn == nil {
		return nil, errNoConnection
	}
	replies, err := exchange(ctx, l.conn, []string{"CLIENT", "LIST", "TYPE", "normal"})
	if err != nil {
		return nil, err
	}
	text, _ := replies[0].(string)
	queue := readQueue(text, l.prefix)
	if !slices.ContainsFunc(queue, func(c claim) bool { return c.id == l.id }) {
		return nil, errors.New("the connection is not in CLIENT LIST")
	}
	if id, yes := stale(queue, l.token, l.id, l.options.TTL); yes {
		_, err = exchange(ctx, l.conn, []string{"CLIENT", "KILL", "ID", strconv.FormatInt(id, 10)})
	}
	var refused resp.Error
	if errors.As(err, &refused) { // somebody else may be allowed to kill
		err = nil
	}
	return queue, err
}

// open connects, logs in and takes a place. It fails when that takes so long that
// others may count on nobody with so low a number to come.
func (l *link) open(ctx context.Context, asked time.Time) error {
	ctx, cancel := context.WithDeadline(ctx, asked.Add(answer))
	defer cancel()
	commands := [][]string{{"CLIENT", "SETNAME", l.name}, {"CLIENT", "ID"}}
	if l.options.Password != nil {
		user, password, err := l.options.Password()
		if err != nil {
			return fmt.Errorf("read password: %w", err)
		}
		commands = append(login(user, password), commands...)
	}
	raw, err := l.options.Dial(ctx, l.addr)
	if err != nil {
		return err
	}
	conn := resp.NewConn(raw)
	replies, err := exchange(ctx, conn, commands...)
	if err == nil && l.options.Now().Sub(asked) > answer {
		err = os.ErrDeadlineExceeded
	}
	if err != nil {
		_ = conn.Close()
		return err
	}
	l.conn, l.named = conn, l.options.Now()
	l.id, _ = replies[len(replies)-1].(int64)
	return nil
}

func login(user, password string) [][]string {
	switch {
	case password == "":
		return nil
	case user == "":
		return [][]string{{"AUTH", password}}
	}
	return [][]string{{"AUTH", user, password}}
}

func (l *link) close() {
	if l.conn != nil {
		_ = l.conn.Close()
	}
	l.conn, l.id, l.named = nil, 0, time.Time{}
}

// exchange writes the commands and reads their replies. A Sentinel without a
// password takes everybody; any other error reply is an error.
func exchange(ctx context.Context, conn *resp.Conn, commands ...[]string) ([]any, error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if err := conn.Send(time.Time{}, commands...); err != nil {
		return nil, cmp.Or(ctx.Err(), err)
	}
	replies := make([]any, len(commands))
	var refused error
	for i := range replies {
		var err error
		if replies[i], err = conn.Receive(time.Time{}); err != nil {
			return nil, cmp.Or(ctx.Err(), err)
		}
		said, no := replies[i].(resp.Error)
		if no && refused == nil && !strings.Contains(string(said), "without any password configured") {
			refused = said
		}
	}
	return replies, refused
}

// readQueue finds the connections of a lease in what CLIENT LIST answers, lowest
// number first.
func readQueue(list, prefix string) []claim {
	var queue []claim
	for line := range strings.Lines(list) {
		c := claim{id: -1}
		for word := range strings.FieldsSeq(line) {
			key, value, _ := strings.Cut(word, "=")
			n, err := strconv.ParseInt(value, 10, 64)
			switch {
			case key == "id" && err == nil:
				c.id = n
			case key == "idle" && err == nil:
				c.idle = time.Duration(n) * time.Second
			case key == "name" && strings.HasPrefix(value, prefix):
				rest := value[len(prefix):]
				end := max(strings.LastIndexByte(rest, ':'), 0)
				c.owner, c.token = rest[:end], strings.TrimPrefix(rest[end:], ":")
			}
		}
		if c.id >= 0 && c.token != "" {
			queue = append(queue, c)
		}
	}
	slices.SortFunc(queue, func(a, b claim) int { return cmp.Compare(a.id, b.id) })
	return queue
}

// dialTCP is the default of Options.Dial.
func dialTCP(ctx context.Context, addr schema.Addr) (net.Conn, error) {
	var dialer net.Dialer
	return dialer.DialContext(ctx, "tcp", string(addr))
}

// why is an error in few words, without addresses that the reader knows.
func why(err error) string {
	var number syscall.Errno
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return "no answer"
	case errors.Is(err, io.EOF):
		return "connection closed"
	case errors.As(err, &number):
		return number.Error()
	}
	return err.Error()
}
