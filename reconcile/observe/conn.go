package observe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"rsm/schema"
)

// clientName is what rsm's connections call themselves, so that they are not
// counted as clients of the application.
const clientName = "rsm"

// session is one connection to one server.
type session struct {
	client *redis.Client
	conn   *redis.Conn
	raw    *tap
	key    key
}

// reply is what a server answered to one command: a value (string, int64, []any
// or nil) or the text of an error reply.
type reply struct {
	value any
	err   string
}

// open connects. The error is the dialler's, unchanged, so that a refused
// connection can be told from a lost one. The caller closes the session.
//
// The connection is made before the client is: go-redis dials up to five times
// with pauses, which would hide why the first one failed.
func (o *Observer) open(ctx context.Context, addr schema.Addr, k key) (*session, error) {
	raw, err := o.dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	s := &session{raw: &tap{Conn: raw}, key: k}
	timeout := o.timeout()
	var once sync.Once
	s.client = redis.NewClient(&redis.Options{
		Addr:     string(addr),
		Password: k.value,
		Dialer: func(context.Context, string, string) (net.Conn, error) {
			err := errors.New("connection lost")
			once.Do(func() { err = nil })
			return s.raw, err
		},
		Protocol:                 2,
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		MaxRetries:               -1,
		DialerRetries:            1,
		PoolSize:                 1,
		PipelinePoolSize:         -1,
		ReadBufferSize:           16 << 10,
		WriteBufferSize:          4 << 10,
		ReadTimeout:              timeout,
		WriteTimeout:             timeout,
		PoolTimeout:              timeout,
		ContextTimeoutEnabled:    true,
	})
	s.conn = s.client.Conn()
	return s, nil
}

func (s *session) close() {
	s.conn.Close()
	s.client.Close()
	s.raw.Close()
}

// pipeline sends the commands in one write and returns one reply for each. The
// error is of the connection; error replies are replies.
func (s *session) pipeline(ctx context.Context, commands [][]any) (replies []reply, err error) {
	// The client allocates whatever length a peer announces; a peer that is no
	// Redis server at all can make that a panic, which is its fault, not ours.
	defer func() {
		if p := recover(); p != nil {
			replies, err = nil, errors.New("it does not speak the Redis protocol")
		}
	}()
	pipe := s.conn.Pipeline()
	sent := make([]*redis.Cmd, len(commands))
	for i, args := range commands {
		sent[i] = pipe.Do(ctx, args...)
	}
	_, failed := pipe.Exec(ctx)
	replies = make([]reply, len(sent))
	for i, cmd := range sent {
		value, err := cmd.Result()
		var refused redis.Error
		switch {
		case err == nil:
			replies[i].value = value
		case errors.Is(err, redis.Nil):
			failed = nil
		case errors.As(err, &refused):
			replies[i].err, failed = s.key.scrub(refused.Error()), nil
		default:
			return nil, s.lost(err)
		}
	}
	if failed != nil { // no command failed: the handshake before them did
		return nil, s.lost(failed)
	}
	return replies, nil
}

// lost explains why the connection failed. A server that turns a client away
// says so in an error reply and hangs up (too many clients, protected mode);
// the client reports only the hang-up, so the reply is taken from the tap.
func (s *session) lost(err error) error {
	var refused redis.Error
	if errors.As(err, &refused) {
		return errors.New(s.key.scrub(refused.Error()))
	}
	if line, _, ok := bytes.Cut(s.raw.first(), []byte("\r\n")); ok && len(line) > 1 && line[0] == '-' && !isTimeout(err) {
		return errors.New(s.key.scrub(string(line[1:])))
	}
	return err
}

func isTimeout(err error) bool {
	var netErr net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &netErr) && netErr.Timeout()
}

// why says in a few words why a server could not be read.
func (s *session) why(err error, timeout time.Duration) string {
	text := s.key.scrub(err.Error())
	switch {
	case isTimeout(err):
		return fmt.Sprintf("no answer within %s", timeout)
	case strings.HasPrefix(text, "redis: can't parse"), strings.HasPrefix(text, "redis: invalid"):
		return "it does not speak the Redis protocol"
	}
	return s.key.explain(text)
}

// explain adds what to do to the error replies about passwords.
func (k key) explain(text string) string {
	field := "the password of the spec"
	if k.ref != nil {
		field = k.ref.String()
	}
	switch {
	case strings.Contains(text, "NOAUTH"):
		return text + " It asks for a password and the spec names none: add it under auth"
	case strings.Contains(text, "WRONGPASS"), strings.Contains(text, "invalid password"):
		return text + " It refuses " + field + ": correct the secret, or change the password on the server"
	case strings.Contains(text, "no password is set"), strings.Contains(text, "without any password"):
		return text + " It has no password though the spec names " + field
	case strings.Contains(text, "NOPERM"):
		return text + " The default user lacks rights that rsm needs"
	}
	return text
}

// tap keeps the first bytes that a server sent.
type tap struct {
	net.Conn
	mu   sync.Mutex
	head []byte
}

// Read reads from the connection.
func (t *tap) Read(b []byte) (int, error) {
	n, err := t.Conn.Read(b)
	t.mu.Lock()
	defer t.mu.Unlock()
	if room := 256 - len(t.head); room > 0 {
		t.head = append(t.head, b[:min(n, room)]...)
	}
	return n, err
}

func (t *tap) first() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.head
}
