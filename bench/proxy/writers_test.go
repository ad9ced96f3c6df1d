package proxy

import (
	"io"
	"os"
	"syscall"
	"testing"
	"time"
)

func TestGapAndStall(t *testing.T) {
	t.Parallel()
	begun := time.Now()
	at := func(ms int) time.Time { return begun.Add(time.Duration(ms) * time.Millisecond) }
	write := func(ended int, ms ...int) *writer {
		w := &writer{begun: begun, ended: at(ended)}
		for i, n := range ms {
			w.acks = append(w.acks, ack{i, at(n)})
		}
		return w
	}
	c := &crew{writers: []*writer{write(500, 10, 200, 201, 400, 499), write(500, 20, 210, 300, 498)}}
	// The gap from 20 to 200 was over before the moment.
	if from, to := c.gap(at(205)); from != at(300) || to != at(400) {
		t.Errorf("gap is %v to %v", from.Sub(begun), to.Sub(begun))
	}
	// Nobody wrote again: the gap lasts to the end.
	if _, to := (&crew{writers: []*writer{write(500, 10, 20)}}).gap(at(15)); to != at(500) {
		t.Errorf("gap ends at %v, want the end of all writing", to.Sub(begun))
	}
	if got := c.writers[0].stall(); got != 199*time.Millisecond {
		t.Errorf("stall is %v", got)
	}
	if got := write(500).stall(); got != 500*time.Millisecond {
		t.Errorf("stall of a writer that never got through is %v", got)
	}
}

func TestReasons(t *testing.T) {
	t.Parallel()
	r := reasons{}
	for _, err := range []error{refused("INDOUBT who knows"), io.EOF, syscall.ECONNREFUSED, os.ErrDeadlineExceeded, refused("INDOUBT again")} {
		r.add(reasons{reason(err): 1})
	}
	if got := r.String(); r.total() != 5 || got != "5: 2 INDOUBT, 1 closed, 1 no reply, 1 refused" {
		t.Errorf("reasons are %q", got)
	}
	if got := (reasons{}).String(); got != "0" {
		t.Errorf("no reasons are %q", got)
	}
}
