package host

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"rsm/internal/resp"
	"rsm/reconcile"
)

// scratchConfig is the least that keeps a server to its own directory: it listens
// on nothing but a socket there. Everything else stays at its default, save too:
// a server without data saves nothing, and it is killed, not shut down.
const scratchConfig = "port 0\nunixsocket s\n"

// scratchOnly are the directives whose answer is of the scratch server, and no
// default.
var scratchOnly = []string{"port", "unixsocket", "dir"}

// defaults is the answer of one binary, which all who ask meanwhile wait for.
type defaults struct {
	done   chan struct{} // closed when the rest is set
	values map[string]string
	err    error
}

// Defaults returns the values that the directives have when no configuration
// names them, as CONFIG GET writes them. Redis has no command for that, so a
// server without configuration is asked: once per binary, as it takes some 50 ms.
// It opens no port, and nothing is left of it. Directives that the installed
// redis-server does not know, or hides from `CONFIG GET *`, are missing in the
// answer, and so are dir, port and unixsocket. The error is ctx's, or says why
// the server could not be asked.
func (h *Host) Defaults(ctx context.Context, keys []string) (map[string]string, error) {
	path, err := h.findBinary(binaryName(reconcile.KindRedis))
	if err != nil {
		return nil, err
	}
	all, err := h.allDefaults(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("read defaults of %s: %w", path, err)
	}
	values := make(map[string]string, len(keys))
	for _, key := range keys {
		if value, known := all[key]; known {
			values[key] = value
		}
	}
	return values, nil
}

// allDefaults asks the binary, unless that was done or is under way.
func (h *Host) allDefaults(ctx context.Context, path string) (map[string]string, error) {
	id := identity(path)
	h.mu.Lock()
	d, asked := h.defaults[id]
	if !asked {
		d = &defaults{done: make(chan struct{})}
		if h.defaults == nil {
			h.defaults = map[string]*defaults{}
		}
		h.defaults[id] = d
	}
	h.mu.Unlock()
	if asked {
		select {
		case <-d.done:
			return d.values, d.err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	d.values, d.err = scratchDefaults(ctx, path)
	if d.err != nil { // a full disk may have room again: who asks next tries again
		h.mu.Lock()
		delete(h.defaults, id)
		h.mu.Unlock()
	}
	close(d.done)
	return d.values, d.err
}

// scratchDefaults starts a server in a directory of its own, asks it, and takes
// both away.
func scratchDefaults(ctx context.Context, path string) (values map[string]string, err error) {
	ctx, cancel := context.WithTimeout(ctx, binaryTimeout)
	defer cancel()
	if path, err = filepath.Abs(path); err != nil { // the server has another working directory
		return nil, err
	}
	dir, err := os.MkdirTemp("", "rsm-defaults-*") // mode 0700
	if err != nil {
		return nil, fmt.Errorf("create directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	// The server dies with rsm, however that ends. The kernel takes the thread
	// that started it for its parent, so that thread has to stay.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var log bytes.Buffer
	cmd := exec.CommandContext(ctx, path, "-")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(scratchConfig), &log, &log
	cmd.Dir, cmd.Env, cmd.WaitDelay = dir, childEnv(), time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start server: %w", err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait() // it ends by our kill, or answers nothing
		close(exited)
	}()
	values, err = askScratch(ctx, dir, exited)
	_ = cmd.Process.Kill()
	<-exited
	switch {
	case ctx.Err() != nil: // the server was killed, whatever that looked like
		err = ctx.Err()
	case errors.Is(err, errEnded):
		err = fmt.Errorf("%w: %.200q", err, bytes.TrimSpace(log.Bytes()))
	}
	return values, err
}

// askScratch reads the whole configuration of the server in dir.
func askScratch(ctx context.Context, dir string, exited <-chan struct{}) (map[string]string, error) {
	conn, err := dialScratch(ctx, dir, exited)
	if err != nil {
		return nil, fmt.Errorf("dial server: %w", err)
	}
	defer conn.Close()
	// At its end ctx also kills the server, which ends the connection.
	if _, err := conn.Write(resp.AppendCommand(nil, "CONFIG", "GET", "*")); err != nil {
		return nil, fmt.Errorf("ask server: %w", err)
	}
	reply, err := resp.Read(bufio.NewReader(conn))
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	words, _ := reply.([]any)
	values := make(map[string]string, len(words)/2)
	for i := 0; i+1 < len(words); i += 2 {
		key, _ := words[i].(string)
		if value, ok := words[i+1].(string); ok {
			values[key] = value
		}
	}
	if len(values) == 0 {
		return nil, fmt.Errorf("read answer: no configuration in %.100q", fmt.Sprint(reply))
	}
	for _, key := range scratchOnly {
		delete(values, key)
	}
	return values, nil
}

// dialScratch connects as soon as the server listens.
func dialScratch(ctx context.Context, dir string, exited <-chan struct{}) (net.Conn, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	// A socket's path has at most 107 bytes (unix(7)), which a temporary directory
	// may exceed; this name of it is always short.
	addr := fmt.Sprintf("/proc/self/fd/%d/s", d.Fd())
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		var dialer net.Dialer
		if conn, err := dialer.DialContext(ctx, "unix", addr); err == nil {
			return conn, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-exited:
			return nil, errEnded
		case <-tick.C:
		}
	}
}
