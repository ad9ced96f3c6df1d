// Package sdnotify speaks with systemd: that a service is ready, alive, and about
// to end (sd_notify(3)), and its log in the form of the journal (sd-daemon(3)).
// Without systemd all of it does nothing.
//
//	manager := sdnotify.Open(os.Getenv)
//	go manager.Watch(ctx, alive)
//	manager.Ready("follows main")
//	defer manager.Stopping()
package sdnotify

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// Manager is who started this process and wants to hear of it. A nil one wants
// nothing.
type Manager struct {
	socket   net.UnixAddr
	watchdog time.Duration // 0: none
}

// Open finds the manager in the environment; it is nil when there is none.
func Open(getenv func(string) string) *Manager {
	name := getenv("NOTIFY_SOCKET")
	if name == "" || name[0] != '/' && name[0] != '@' { // the latter is an abstract one
		return nil
	}
	m := &Manager{socket: net.UnixAddr{Name: name, Net: "unixgram"}}
	if pid := getenv("WATCHDOG_PID"); pid == "" || pid == strconv.Itoa(os.Getpid()) {
		if usec, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64); err == nil && usec > 0 {
			m.watchdog = time.Duration(usec) * time.Microsecond
		}
	}
	return m
}

// Ready says that the service serves, and what it does now.
func (m *Manager) Ready(status string) error { return m.tell("READY=1", "STATUS="+line(status)) }

// Status says what the service does now.
func (m *Manager) Status(status string) error { return m.tell("STATUS=" + line(status)) }

// Stopping says that the service is about to end.
func (m *Manager) Stopping() error { return m.tell("STOPPING=1") }

// Watch tells the watchdog that the service lives, for as long as alive says so,
// until ctx ends: twice in its time. It returns at once when there is none.
func (m *Manager) Watch(ctx context.Context, alive func() bool) {
	if m == nil || m.watchdog == 0 {
		return
	}
	tick := time.NewTicker(m.watchdog / 2)
	defer tick.Stop()
	for {
		if alive() {
			_ = m.tell("WATCHDOG=1") // if it does not arrive, the watchdog says so
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (m *Manager) tell(fields ...string) error {
	if m == nil {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &m.socket)
	if err != nil {
		return fmt.Errorf("notify systemd: %w", err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(strings.Join(fields, "\n"))); err != nil {
		return fmt.Errorf("notify systemd: %w", err)
	}
	return nil
}

// line makes one line of a text: the next one would be another field.
func line(text string) string { return strings.Join(strings.Fields(text), " ") }
