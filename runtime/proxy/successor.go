package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The environment by which listening sockets are passed on: as systemd does it
// (sd_listen_fds(3)), but without LISTEN_PID when it is rsm that does, and with a
// pipe on which the new process says that it serves.
const (
	envCount = "LISTEN_FDS"
	envNames = "LISTEN_FDNAMES"
	envPID   = "LISTEN_PID"
	envReady = "RSM_READY_FD"
	firstFD  = 3
)

// readyTime is how long a new process may take until it serves.
const readyTime = 15 * time.Second

// Socket is a listening socket that was passed on.
type Socket struct {
	Name string
	net.Listener
}

// Sockets returns those that this process was started with, and forgets them: it
// works once. They are closed by who gets them.
func Sockets() ([]Socket, error) {
	count, err := strconv.Atoi(os.Getenv(envCount))
	pid, names := os.Getenv(envPID), strings.Split(os.Getenv(envNames), ":")
	for _, name := range []string{envCount, envNames, envPID} {
		_ = os.Unsetenv(name)
	}
	if err != nil || pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	var sockets []Socket
	for i := range count {
		file := os.NewFile(uintptr(firstFD+i), "passed")
		listener, err := net.FileListener(file)
		_ = file.Close()
		if err != nil {
			return nil, fmt.Errorf("take socket %d: %w", i, err)
		}
		if l, ok := listener.(*net.UnixListener); ok {
			l.SetUnlinkOnClose(true)
		}
		s := Socket{Listener: listener}
		if i < len(names) {
			s.Name = names[i]
		}
		sockets = append(sockets, s)
	}
	return sockets, nil
}

// Ready tells the process that started this one that it serves, once the master
// is known or a moment has passed. Without such a process it does nothing.
func (p *Proxy) Ready(ctx context.Context) {
	fd, err := strconv.Atoi(os.Getenv(envReady))
	_ = os.Unsetenv(envReady)
	if err != nil || fd < firstFD {
		return
	}
	pipe := os.NewFile(uintptr(fd), "ready")
	defer pipe.Close()
	p.found(ctx, p.follower.Load())
	_, _ = pipe.WriteString(readyWord)
}

const readyWord = "ready\n"

// take returns the socket that was passed on for an address, nil if there is
// none. One of that name may listen on more than the address, but on its port.
func (p *Proxy) take(name, addr string) net.Listener {
	for i, s := range p.passed {
		if s.Listener == nil {
			continue
		}
		_, port, _ := net.SplitHostPort(addr)
		_, has, _ := net.SplitHostPort(s.Addr().String())
		if s.Addr().String() == addr || s.Name == name && port != "" && port == has {
			p.passed[i].Listener = nil
			return s.Listener
		}
	}
	return nil
}

// closePassed closes the sockets that nobody took. Their files stay: they are
// those of the process before.
func (p *Proxy) closePassed() {
	for _, s := range p.passed {
		if l, ok := s.Listener.(*net.UnixListener); ok {
			l.SetUnlinkOnClose(false)
		}
		if s.Listener != nil {
			_ = s.Close()
		}
	}
	p.passed = nil
}

// Handover starts the binary at path with the arguments and the environment of
// this process and with its listening sockets, and returns when that serves: Run
// has to end now. With an error nothing has changed.
func (p *Proxy) Handover(ctx context.Context, path string) error {
	sockets, names, err := p.duplicates()
	defer func() {
		for _, fd := range sockets {
			_ = syscall.Close(fd)
		}
	}()
	if err != nil {
		return err
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make pipe: %w", err)
	}
	defer reader.Close()
	files := []uintptr{0, 1, 2}
	for _, fd := range sockets {
		files = append(files, uintptr(fd))
	}
	env := append(environment(), envCount+"="+strconv.Itoa(len(sockets)), envNames+"="+strings.Join(names, ":"),
		envReady+"="+strconv.Itoa(len(files)))
	// Not os/exec: it would make the sockets blocking, for this process as well.
	pid, err := syscall.ForkExec(path, os.Args, &syscall.ProcAttr{Env: env, Files: append(files, writer.Fd())})
	_ = writer.Close()
	if err != nil {
		return fmt.Errorf("start %s: %w", path, err)
	}
	process, err := os.FindProcess(pid)
	if err != nil {
		return fmt.Errorf("find process: %w", err)
	}
	if err := awaitReady(ctx, reader); err != nil {
		_ = process.Kill()
		_, _ = process.Wait()
		return fmt.Errorf("hand over to process %d: %w", pid, err)
	}
	go func() { _, _ = process.Wait() }()
	p.mu.Lock()
	p.handed = true
	p.mu.Unlock()
	p.log.Info("handed over", "pid", pid, "binary", path)
	return nil
}

// awaitReady reads what a new process says.
func awaitReady(ctx context.Context, from *os.File) error {
	stop := context.AfterFunc(ctx, func() { _ = from.SetReadDeadline(time.Now()) })
	defer stop()
	_ = from.SetReadDeadline(time.Now().Add(readyTime))
	word := make([]byte, len(readyWord))
	if _, err := from.Read(word); errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("it does not serve after %s", readyTime)
	} else if err != nil || string(word) != readyWord {
		return errors.New("it ended; its log says why")
	}
	return nil
}

// duplicates are descriptors of all listening sockets, with the names of the
// listeners. A name has no colon.
func (p *Proxy) duplicates() (fds []int, names []string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	listeners := map[string]net.Listener{}
	for _, d := range p.open {
		listeners[d.name] = d.Listener
	}
	p.adminMu.Lock()
	defer p.adminMu.Unlock()
	if p.admin != nil {
		listeners[adminName] = p.admin.listener
	}
	for name, l := range listeners {
		fd, err := duplicate(l)
		if err != nil {
			return fds, nil, fmt.Errorf("pass on listener %s: %w", name, err)
		}
		fds, names = append(fds, fd), append(names, name)
	}
	return fds, names, nil
}

func duplicate(l net.Listener) (int, error) {
	conn, ok := l.(syscall.Conn)
	if !ok {
		return -1, errors.New("it has no descriptor")
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd, failed := -1, error(nil)
	err = raw.Control(func(from uintptr) {
		n, _, errno := syscall.RawSyscall(syscall.SYS_FCNTL, from, syscall.F_DUPFD_CLOEXEC, firstFD)
		if errno != 0 {
			failed = os.NewSyscallError("dup", errno)
			return
		}
		fd = int(n)
	})
	return fd, errors.Join(err, failed)
}

// environment is that of this process without what it was itself passed on by.
func environment() []string {
	var env []string
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		switch name {
		case envCount, envNames, envPID, envReady:
		default:
			env = append(env, entry)
		}
	}
	return env
}
