package redistest

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"rsm/internal/resp"
)

func TestServer(t *testing.T) {
	t.Parallel()
	s := Start(t, "maxmemory 12mb")
	if got := s.Do("CONFIG", "GET", "maxmemory"); !slices.Equal(got.([]any), []any{"maxmemory", "12582912"}) {
		t.Errorf("CONFIG GET maxmemory = %v", got)
	}
	before := s.PID()
	s.Kill()
	if _, err := s.TryDo("PING"); err == nil {
		t.Error("a killed server answers")
	}
	s.Restart()
	if s.PID() == before || s.Info("process_id") == "" {
		t.Errorf("pid %d after restart, %d before", s.PID(), before)
	}
	s.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	conn, err := resp.Dial(ctx, s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Do(ctx, "PING"); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("PING to a paused server: %v, want a timeout", err)
	}
	s.Resume()
	if got := s.Do("PING"); got != "PONG" {
		t.Errorf("PING = %v", got)
	}
}

func TestCluster(t *testing.T) {
	t.Parallel()
	c := StartCluster(t, "cache", 2, 3)
	c.Redis[0].Kill()
	port := strconv.Itoa(c.Redis[1].Port())
	for _, sentinel := range c.Sentinels {
		Wait(t, 30*time.Second, Want("master port", port, func() string { return sentinel.Master("cache")["port"] }))
	}
	Wait(t, 5*time.Second, Want("role", "master", func() string { return c.Redis[1].Info("role") }))
}

func TestFake(t *testing.T) {
	t.Parallel()
	f := StartFake(t, func(args []string) Reply {
		switch args[0] {
		case "GET":
			return Err("LOADING Redis is loading")
		case "INFO":
			return Raw("garbage\r\n")
		case "ROLE":
			return Array(Bulk("master"), Int(0), Array())
		case "QUIT":
			return Close()
		}
		return Reply{}
	})
	if _, err := Do(f.Addr(), "GET", "a"); err == nil || err.Error() != "LOADING Redis is loading" {
		t.Errorf("GET: %v", err)
	}
	if _, err := Do(f.Addr(), "INFO"); !errors.Is(err, resp.ErrProtocol) {
		t.Errorf("INFO: %v", err)
	}
	if _, err := Do(f.Addr(), "QUIT"); !errors.Is(err, io.EOF) {
		t.Errorf("QUIT: %v", err)
	}
	if role, err := Do(f.Addr(), "role"); err != nil || len(role.([]any)) != 3 {
		t.Errorf("ROLE = %v, %v", role, err)
	}
	if got := strings.Join(f.Seen(), ","); got != "GET a,INFO,QUIT,ROLE" {
		t.Errorf("seen %s", got)
	}
}

func TestPortsDiffer(t *testing.T) {
	t.Parallel()
	ports := append(Ports(t, 20), Ports(t, 20)...)
	slices.Sort(ports)
	if got := slices.Compact(slices.Clone(ports)); len(got) != 40 {
		t.Errorf("ports given twice: %v", ports)
	}
}
