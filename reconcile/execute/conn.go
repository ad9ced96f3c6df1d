package execute

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"rsm/reconcile"
	"rsm/schema"
)

// clientName is what rsm's connections call themselves; observers do not count
// them as clients.
const clientName = "rsm"

// session is one authenticated connection to one server.
type session struct {
	addr    schema.Addr
	timeout time.Duration
	client  *redis.Client
	conn    *redis.Conn
	raw     net.Conn
	// secrets maps each value that was sent to its reference.
	secrets map[string]string
}

// open connects and reads the password that the server asks for. The caller
// closes the session.
func (e *Executor) open(ctx context.Context, addr schema.Addr, sentinel bool) (*session, error) {
	s := &session{addr: addr, timeout: e.timeout(), secrets: map[string]string{}}
	ref := e.Auth.Password
	if sentinel {
		ref = e.Auth.SentinelPassword
	}
	password, err := s.read(ref)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", addr, err)
	}
	if s.raw, err = e.dial(ctx, addr); err != nil {
		return nil, fmt.Errorf("%s: connect: %w", addr, err)
	}
	var once sync.Once
	s.client = redis.NewClient(&redis.Options{
		Addr:       string(addr),
		Password:   password,
		ClientName: clientName,
		Dialer: func(context.Context, string, string) (net.Conn, error) {
			// Once only: a command must never be sent again on another connection.
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
		ReadTimeout:              s.timeout,
		WriteTimeout:             s.timeout,
		ContextTimeoutEnabled:    true,
	})
	s.conn = s.client.Conn()
	return s, nil
}

func (e *Executor) dial(ctx context.Context, addr schema.Addr) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, e.timeout())
	defer cancel()
	if e.Dial != nil {
		return e.Dial(ctx, "tcp", string(addr))
	}
	var d net.Dialer
	return d.DialContext(ctx, "tcp", string(addr))
}

func (s *session) close() {
	s.conn.Close()
	s.client.Close()
	s.raw.Close()
}

// read returns a secret's value, "" for none.
func (s *session) read(ref *schema.Secret) (string, error) {
	if ref == nil {
		return "", nil
	}
	value, err := ref.Read()
	if err == nil {
		s.secrets[value] = "<" + ref.String() + ">"
	}
	return value, err
}

// send sends one command, its secret read now, and returns the reply.
func (s *session) send(ctx context.Context, c reconcile.Command) (any, error) {
	args := make([]any, 0, len(c.Args)+1)
	for _, arg := range c.Args {
		args = append(args, arg)
	}
	if c.Secret != nil {
		value, err := s.read(c.Secret)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", s.addr, strings.Join(c.Args, " "), err)
		}
		args = append(args, value)
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	cmd := redis.NewCmd(ctx, args...)
	if err := s.conn.Process(ctx, cmd); err != nil && !errors.Is(err, redis.Nil) {
		return nil, s.failed(c, err)
	}
	return cmd.Val(), nil
}

// call is send for a command that no action lists.
func (s *session) call(ctx context.Context, args ...string) (any, error) {
	return s.send(ctx, reconcile.Command{Addr: s.addr, Args: args})
}

// Refused is a server's error reply to a command.
type Refused struct {
	Addr    schema.Addr
	Command string // without secrets
	Reply   string // the server's text, secrets taken out
}

// Error is "addr: command: reply".
func (e *Refused) Error() string { return fmt.Sprintf("%s: %s: %s", e.Addr, e.Command, e.Reply) }

// failed turns a client's error into one that names the command and holds no
// secret: servers quote the arguments of commands that they refuse.
func (s *session) failed(c reconcile.Command, err error) error {
	command := strings.Join(c.Args, " ")
	var refused redis.Error
	if errors.As(err, &refused) {
		return &Refused{Addr: s.addr, Command: command, Reply: s.scrub(refused.Error())}
	}
	var netErr net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &netErr) && netErr.Timeout() {
		return fmt.Errorf("%s: %s: no answer within %s, it may still take effect: %w",
			s.addr, command, s.timeout, context.DeadlineExceeded)
	}
	return fmt.Errorf("%s: %s: %w", s.addr, command, err)
}

func (s *session) scrub(text string) string {
	for value, ref := range s.secrets {
		text = strings.ReplaceAll(text, value, ref)
	}
	return text
}

// tolerable allows one refusal: a server that was started without a
// configuration file cannot keep what was changed, which is its owner's choice.
// The text is rewriteConfig's in config.c, unchanged since Redis 2.8.
func tolerable(c reconcile.Command, err error) bool {
	var refused *Refused
	return errors.As(err, &refused) && strings.EqualFold(strings.Join(c.Args, " "), "CONFIG REWRITE") &&
		strings.Contains(refused.Reply, "running without a config file")
}
