package bus

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"rsm/schema"
)

// Options of a Client. The zero value is of use.
type Options struct {
	// Name is what its connections call themselves, such as "rsm-worker-mail";
	// default "rsm".
	Name string
	// Addr is the server to use when the Access names no Sentinels, for tests and
	// for a Redis that stands alone.
	Addr schema.Addr
	// Unwatched leaves out the background watcher. A role whose every command has
	// a short deadline does without: it finds out by itself that the master is gone.
	Unwatched bool
	// PoolSize is how many connections there may be; default that of go-redis, ten
	// for each CPU.
	PoolSize int
	// Buffer is the size in bytes of the two buffers of each connection; default
	// that of go-redis, 32 KiB.
	Buffer int
	// Timeout bounds the answer to a command, default 3 s. Commands that block have
	// their own time besides.
	Timeout time.Duration
}

// Client is a client of the master of one cluster, whichever server that is. Safe
// for concurrent use; whoever connected closes it.
//
// No command is sent twice: one that fails returns its error, and the caller
// decides whether it may run again.
type Client struct {
	*redis.Client
	finder  *finder
	conns   conns
	stop    context.CancelFunc
	watcher sync.WaitGroup
}

// dialLimit is how long one connection may take, finding the master included.
const dialLimit = time.Second

// Connect makes a client; it connects with the first command. The secrets of
// access are read for each new connection. An error means that access cannot work
// at all; that no server answers, or refuses the password, is an error of the
// commands.
func Connect(access schema.Access, o Options) (*Client, error) {
	if len(access.Sentinels) == 0 && o.Addr == "" {
		return nil, errors.New("connect: no Sentinel is given")
	}
	if len(access.Sentinels) > 0 && access.Cluster == "" {
		return nil, errors.New("connect: Sentinels are given, but no name of a cluster to ask them for")
	}
	if o.Name == "" {
		o.Name = "rsm"
	}
	if o.Timeout == 0 {
		o.Timeout = 3 * time.Second
	}
	quiet()
	c := &Client{finder: &finder{access: access, fixed: o.Addr}}
	c.Client = redis.NewClient(&redis.Options{
		Addr:                     "master of " + access.Cluster, // for messages of go-redis
		Dialer:                   func(ctx context.Context, _, _ string) (net.Conn, error) { return c.dial(ctx) },
		ClientName:               o.Name,
		Protocol:                 2,
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		MaxRetries:               -1,
		DialTimeout:              dialLimit,
		DialerRetries:            1,
		ReadTimeout:              o.Timeout,
		WriteTimeout:             o.Timeout,
		ContextTimeoutEnabled:    true,
		PoolSize:                 o.PoolSize,
		PipelinePoolSize:         -1,
		ReadBufferSize:           o.Buffer,
		WriteBufferSize:          o.Buffer,
	})
	ctx, stop := context.WithCancel(context.Background())
	c.stop = stop
	if !o.Unwatched && len(access.Sentinels) > 0 {
		w := &watcher{finder: c.finder, conns: &c.conns, wake: make(chan struct{}, 1)}
		c.watcher.Go(func() { w.run(ctx) })
	}
	return c, nil
}

// quiet keeps go-redis from writing to standard error what its errors say, too.
var quiet = sync.OnceFunc(func() { redis.SetLogger(silent{}) })

type silent struct{}

// Printf drops the line.
func (silent) Printf(context.Context, string, ...any) {}

// Close ends every connection. Commands under way fail.
func (c *Client) Close() error {
	c.stop()
	err := c.Client.Close()
	c.watcher.Wait()
	return err
}

// Master is the server that the newest connection goes to, empty before the first.
func (c *Client) Master() schema.Addr { return c.conns.newest() }

// dial returns a connection to the master, logged in.
func (c *Client) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	addr, err := c.finder.find(ctx)
	if err != nil {
		return nil, err
	}
	raw, err := c.finder.open(ctx, addr)
	c.finder.judge(err)
	if err != nil {
		return nil, fmt.Errorf("connect to the master %s: %w", addr, err)
	}
	return c.conns.add(addr, raw), nil
}

// conns are the connections that are open, by server.
type conns struct {
	mu   sync.Mutex
	open map[*tracked]struct{}
	last schema.Addr
}

// tracked is a connection that is known until it is closed.
type tracked struct {
	*net.TCPConn // go-redis looks at the socket of a connection before it reuses it
	addr         schema.Addr
	of           *conns
}

func (c *conns) add(addr schema.Addr, raw *net.TCPConn) net.Conn {
	t := &tracked{TCPConn: raw, addr: addr, of: c}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == nil {
		c.open = map[*tracked]struct{}{}
	}
	c.open[t], c.last = struct{}{}, addr
	return t
}

// Close closes the socket, which also ends a Read that waits.
func (t *tracked) Close() error {
	t.of.mu.Lock()
	delete(t.of.open, t)
	t.of.mu.Unlock()
	return t.TCPConn.Close()
}

func (c *conns) newest() schema.Addr {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

// closeOthers closes the connections to all servers but the master.
func (c *conns) closeOthers(master schema.Addr) {
	c.mu.Lock()
	var others []*tracked
	for t := range c.open {
		if t.addr != master {
			others = append(others, t)
		}
	}
	c.mu.Unlock()
	for _, t := range others {
		_ = t.Close()
	}
}
