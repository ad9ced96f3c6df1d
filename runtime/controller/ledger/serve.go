package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"rsm/internal/supervise"
)

// ServeRecord tells which service works with the ledger, in serve.json.
type ServeRecord struct {
	// Record names the process for ever: a pid that is recycled is another one.
	supervise.Record
	Started time.Time `json:"started"`
	// Listen is the address of its HTTP API, empty for none.
	Listen string `json:"listen,omitempty"`
}

const serveFile = "serve.json"

// Serving writes down that a service runs: this process, from now on, where the
// record does not say otherwise. Call it once SIGHUP is handled, as who changes
// the ledger sends it.
func (l *Ledger) Serving(r ServeRecord) error {
	if r.PID == 0 {
		self, err := supervise.Find(os.Getpid())
		if err != nil {
			return fmt.Errorf("write down the service: %w", err)
		}
		r.Record = self
	}
	if r.Started.IsZero() {
		r.Started = l.now().UTC()
	}
	r.Argv = nil // nobody needs it
	return l.locked(func() error { return l.store(serveFile, r) })
}

// Ended forgets the service, if it is this process.
func (l *Ledger) Ended() error {
	return l.locked(func() error {
		var r ServeRecord
		if err := l.load(serveFile, &r); errors.Is(err, fs.ErrNotExist) || err == nil && r.PID != os.Getpid() {
			return nil
		}
		if err := os.Remove(l.path(serveFile)); err != nil {
			return fmt.Errorf("forget the service: %w", err)
		}
		return nil
	})
}

// Service returns the service that runs now, nil when none does.
func (l *Ledger) Service() (*ServeRecord, error) {
	var r ServeRecord
	switch err := l.load(serveFile, &r); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case !supervise.Alive(r.Record):
		return nil, nil // it was killed
	}
	return &r, nil
}

// Nudge makes the service that runs look at the ledger at once, and returns it;
// nil when none runs.
func (l *Ledger) Nudge() (*ServeRecord, error) {
	r, err := l.Service()
	if r == nil || err != nil {
		return nil, err
	}
	return r, supervise.Signal(r.Record, syscall.SIGHUP)
}
