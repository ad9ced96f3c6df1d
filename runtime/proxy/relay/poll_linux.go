package relay

import (
	"fmt"
	"sync"
	"syscall"
	"unsafe"
)

// poller tells which descriptors are ready, by epoll, level-triggered. Nothing in
// a loop blocks but its wait: a system call that blocks keeps the processor from
// the rest of the program, unless the runtime knows of it.
type poller struct {
	fd     int
	events []syscall.EpollEvent
	wakeup [2]int // a pipe: the write end wakes the wait
	woken  bool   // the last wait was ended by that

	mu     sync.Mutex // between wake and close
	closed bool
}

// ready is one descriptor that can go on.
type ready struct {
	fd          int
	read, write bool
	failed      bool // it is broken; then it is ready for everything
}

func newPoller() (*poller, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create epoll: %w", err)
	}
	p := &poller{fd: fd, events: make([]syscall.EpollEvent, 512)}
	if err := syscall.Pipe2(p.wakeup[:], syscall.O_CLOEXEC|syscall.O_NONBLOCK); err != nil {
		_ = syscall.Close(fd)
		return nil, fmt.Errorf("create pipe: %w", err)
	}
	if err := p.add(p.wakeup[0], true, false); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *poller) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, fd := range []int{p.fd, p.wakeup[0], p.wakeup[1]} {
		_ = syscall.Close(fd)
	}
}

// wake ends a wait, now or the next one. It may be called from any goroutine, and
// after close.
func (p *poller) wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed { // by now the descriptor may be that of something else
		_, _ = syscall.Write(p.wakeup[1], []byte{0})
	}
}

func (p *poller) add(fd int, read, write bool) error {
	return p.control(syscall.EPOLL_CTL_ADD, fd, read, write)
}

func (p *poller) change(fd int, read, write bool) error {
	return p.control(syscall.EPOLL_CTL_MOD, fd, read, write)
}

func (p *poller) control(op, fd int, read, write bool) error {
	event := syscall.EpollEvent{Fd: int32(fd)}
	if read {
		event.Events |= syscall.EPOLLIN
	}
	if write {
		event.Events |= syscall.EPOLLOUT
	}
	if err := syscall.EpollCtl(p.fd, op, fd, &event); err != nil {
		return fmt.Errorf("control epoll: %w", err)
	}
	return nil
}

// wait appends what is ready. A timeout of 0 looks without waiting, without the
// cost of telling the runtime; it is in milliseconds.
func (p *poller) wait(found []ready, timeout int) []ready {
	n := p.epoll(timeout)
	p.woken = false
	for _, event := range p.events[:n] {
		fd := int(event.Fd)
		if fd == p.wakeup[0] {
			p.woken = true
			var drop [64]byte
			for {
				if n, err := rawRead(fd, drop[:]); n < len(drop) || err != nil {
					break
				}
			}
			continue
		}
		failed := event.Events&(syscall.EPOLLERR|syscall.EPOLLHUP) != 0
		found = append(found, ready{
			fd: fd, failed: failed,
			read:  failed || event.Events&syscall.EPOLLIN != 0,
			write: failed || event.Events&syscall.EPOLLOUT != 0,
		})
	}
	return found
}

func (p *poller) epoll(timeout int) int {
	call := syscall.Syscall6
	if timeout == 0 {
		call = syscall.RawSyscall6
	}
	n, _, err := call(syscall.SYS_EPOLL_PWAIT, uintptr(p.fd), uintptr(unsafe.Pointer(&p.events[0])),
		uintptr(len(p.events)), uintptr(timeout), 0, 0)
	if err != 0 { // EINTR: the loop comes again
		return 0
	}
	return int(n)
}

func rawRead(fd int, b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	n, _, err := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	if err != 0 {
		return 0, err
	}
	return int(n), nil
}

func rawWrite(fd int, b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	n, _, err := syscall.RawSyscall6(syscall.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)),
		syscall.MSG_NOSIGNAL, 0, 0)
	if err != 0 {
		return 0, err
	}
	return int(n), nil
}

func rawYield() { _, _, _ = syscall.RawSyscall(syscall.SYS_SCHED_YIELD, 0, 0, 0) }
