package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rsm/runtime/controller/ledger"
)

// answers is a channel that answers as it is told, and then with nil.
type answers struct {
	mu   sync.Mutex
	list []error
	got  []string
	came chan string
}

func (a *answers) Send(ctx context.Context, e ledger.Event) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	a.got = append(a.got, e.Message)
	if a.came != nil {
		a.came <- e.Message
	}
	if len(a.list) == 0 {
		return nil
	}
	err := a.list[0]
	a.list = a.list[1:]
	return err
}

func (a *answers) messages() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.got)
}

// stuck answers when it is let go, or when the try ends.
type stuck struct{ in, out chan struct{} }

func (s stuck) Send(ctx context.Context, _ ledger.Event) error {
	s.in <- struct{}{}
	select {
	case <-s.out:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// start runs a sender whose back-offs take no time and are written down.
func start(t *testing.T, sinks ...Sink) (s *Sender, naps *[]time.Duration, log *bytes.Buffer, stop func()) {
	t.Helper()
	log, naps = &bytes.Buffer{}, &[]time.Duration{}
	s = New(sinks, slog.New(slog.NewTextHandler(log, nil)))
	s.rand = func() float64 { return 0 }
	var mu sync.Mutex
	s.sleep = func(ctx context.Context, d time.Duration) error {
		mu.Lock()
		defer mu.Unlock()
		*naps = append(*naps, d)
		return ctx.Err()
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return s, naps, log, stop
}

func event(i int) ledger.Event {
	return ledger.Event{Type: "drift", Level: "info", Message: fmt.Sprint(i)}
}

func TestOrderAndFilters(t *testing.T) {
	t.Parallel()
	all, some, bad := &answers{}, &answers{}, &answers{}
	s, _, _, stop := start(t, Sink{Channel: all}, Sink{Channel: some, Types: []string{"held", "healed"}}, Sink{Channel: bad, Level: "warning"})
	for i, e := range []ledger.Event{{Type: "drift", Level: "info"}, {Type: "held", Level: "warning"}, {Type: "healed", Level: "info"}, {Type: "error", Level: "error"}} {
		e.Message = fmt.Sprint(i)
		s.Tell(e)
	}
	stop()
	for name, tt := range map[string]struct {
		a    *answers
		want string
	}{"all": {all, "0 1 2 3"}, "types": {some, "1 2"}, "level": {bad, "1 3"}} {
		if got := strings.Join(tt.a.messages(), " "); got != tt.want {
			t.Errorf("%s hears %q, want %q", name, got, tt.want)
		}
	}
	if c := s.Counts(); c[0].Sent != 4 || c[1].Sent != 2 || c[0].Dropped+c[0].Failed != 0 {
		t.Errorf("it counts %+v", c)
	}
}

func TestRetry(t *testing.T) {
	t.Parallel()
	away := errors.New("away")
	busy := &statusError{code: 429, after: 7 * time.Second}
	a := &answers{list: []error{away, away, busy, nil, &finalError{away}}, came: make(chan string, 10)}
	s, naps, log, stop := start(t, Sink{Name: "x", Channel: a})
	for i := range 3 {
		s.Tell(event(i))
	}
	for range 6 {
		<-a.came
	}
	stop()
	if got := strings.Join(a.messages(), " "); got != "0 0 0 0 1 2" {
		t.Errorf("it sends %q", got)
	}
	if want := []time.Duration{time.Second, 2 * time.Second, 7 * time.Second}; !slices.Equal(*naps, want) {
		t.Errorf("it waits %v, want %v", *naps, want)
	}
	if c := s.Counts()[0]; c.Sent != 2 || c.Failed != 1 {
		t.Errorf("it counts %+v", c)
	}
	if n := strings.Count(log.String(), "level=WARN"); n != 1 || strings.Count(log.String(), "level=ERROR") != 1 {
		t.Errorf("it says %s", log)
	}
}

func TestGivesUp(t *testing.T) {
	t.Parallel()
	a := &answers{came: make(chan string, 2*tries)}
	for range tries {
		a.list = append(a.list, errors.New("away"))
	}
	s, naps, _, stop := start(t, Sink{Channel: a})
	s.Tell(event(0))
	s.Tell(event(1))
	for range tries + 1 {
		<-a.came
	}
	stop()
	if c := s.Counts()[0]; c.Failed != 1 || c.Sent != 1 {
		t.Errorf("it counts %+v", c)
	}
	if last := (*naps)[len(*naps)-1]; len(*naps) != tries-1 || last != maxBackOff {
		t.Errorf("it waits %v", *naps)
	}
}

func TestBackOffHasJitter(t *testing.T) {
	t.Parallel()
	s := New(nil, slog.Default())
	for _, r := range []float64{0, 0.5, 1} {
		s.rand = func() float64 { return r }
		if got, want := s.backOff(3, nil), time.Duration(float64(8*time.Second)*(1-r/2)); got != want {
			t.Errorf("with %v it waits %v, want %v", r, got, want)
		}
	}
	if got := s.backOff(0, &statusError{after: time.Hour}); got != maxBackOff {
		t.Errorf("a receiver makes it wait %v", got)
	}
}

func TestSlowSinkDelaysNobody(t *testing.T) {
	t.Parallel()
	slow, quick := stuck{make(chan struct{}), make(chan struct{})}, &answers{came: make(chan string, 2*queued)}
	s, _, _, stop := start(t, Sink{Name: "slow", Channel: slow}, Sink{Name: "quick", Channel: quick})
	s.Tell(event(0))
	<-slow.in // it hangs from now on
	<-quick.came
	for i := 1; i <= queued+5; i++ {
		s.Tell(event(i))
		<-quick.came
	}
	if c := s.Counts(); c[0].Dropped != 5 || c[1].Dropped != 0 || c[1].Sent < queued {
		t.Errorf("it counts %+v", c)
	}
	go func() {
		for range slow.in { // the oldest ones are gone, the newest are there
		}
	}()
	close(slow.out)
	stop()
	close(slow.in)
	if c := s.Counts()[0]; c.Sent != queued+1 || c.Dropped != 5 {
		t.Errorf("in the end it counts %+v", c)
	}
}

// What is told as the service ends is sent, too, also behind what was waiting.
func TestEndSendsWhatIsQueued(t *testing.T) {
	t.Parallel()
	a := &answers{list: []error{errors.New("away")}, came: make(chan string, 10)}
	s := New([]Sink{{Channel: a}}, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	s.sleep = func(ctx context.Context, _ time.Duration) error { <-ctx.Done(); return ctx.Err() }
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	s.Tell(event(0))
	<-a.came
	s.Tell(event(1))
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if got := strings.Join(a.messages(), " "); got != "0 0 1" {
		t.Errorf("it sends %q", got)
	}
}
