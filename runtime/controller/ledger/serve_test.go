package ledger

import (
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"rsm/internal/supervise"
)

func TestServiceIsNudged(t *testing.T) {
	l := open(t)
	if r, err := l.Nudge(); r != nil || err != nil {
		t.Fatalf("without a service: %+v, %v", r, err)
	}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	if err := l.Serving(ServeRecord{Listen: "127.0.0.1:1"}); err != nil {
		t.Fatal(err)
	}
	r, err := l.Nudge()
	if err != nil || r == nil || r.PID != os.Getpid() || r.Listen != "127.0.0.1:1" || r.Started.IsZero() {
		t.Fatalf("the service is %+v, %v", r, err)
	}
	select {
	case <-hangups:
	case <-time.After(10 * time.Second):
		t.Fatal("no SIGHUP came")
	}
	text, err := os.ReadFile(filepath.Join(l.Dir(), serveFile))
	for _, field := range []string{`"pid"`, `"started"`, `"listen"`} {
		if err != nil || !strings.Contains(string(text), field) {
			t.Errorf("%s is not in %s (%v)", field, text, err)
		}
	}
	if err := l.Ended(); err != nil {
		t.Fatal(err)
	}
	if err := l.Ended(); err != nil {
		t.Errorf("ended twice: %v", err)
	}
	if r, err := l.Service(); r != nil || err != nil {
		t.Errorf("after its end: %+v, %v", r, err)
	}
}

// A test of its own process would not survive a SIGHUP that it does not expect.
func TestRecycledPidIsNotNudged(t *testing.T) {
	l := open(t)
	self, err := supervise.Find(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]supervise.Record{
		"another start": {PID: self.PID, Start: self.Start - 1, Boot: self.Boot},
		"another boot":  {PID: self.PID, Start: self.Start, Boot: "x"},
		"no identity":   {PID: self.PID},
		"gone":          {PID: 1 << 30, Start: self.Start, Boot: self.Boot},
	} {
		if err := l.Serving(ServeRecord{Record: r}); err != nil {
			t.Fatal(err)
		}
		if r, err := l.Nudge(); r != nil || err != nil {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

func TestAnotherServiceIsNotForgotten(t *testing.T) {
	t.Parallel()
	l := open(t)
	parent, err := supervise.Find(os.Getppid())
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Serving(ServeRecord{Record: parent}); err != nil {
		t.Fatal(err)
	}
	if err := l.Ended(); err != nil {
		t.Fatal(err)
	}
	if r, err := l.Service(); err != nil || r == nil || r.PID != parent.PID {
		t.Errorf("it is %+v, %v", r, err)
	}
}

func TestDamagedServeRecord(t *testing.T) {
	t.Parallel()
	l := open(t)
	if err := l.Serving(ServeRecord{}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(l.Dir(), serveFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Nudge(); err == nil || !strings.Contains(err.Error(), serveFile) {
		t.Errorf("a damaged record is %v", err)
	}
	if err := l.Ended(); err != nil {
		t.Errorf("a damaged record stays: %v", err)
	}
	if r, err := l.Service(); r != nil || err != nil {
		t.Errorf("then %+v, %v", r, err)
	}
}
