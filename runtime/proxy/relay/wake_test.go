package relay

import (
	"testing"
	"time"
)

// A loop that is woken while it looks without waiting must not go to sleep.
func TestWakeWhileLooking(t *testing.T) {
	t.Parallel()
	poll, err := newPoller()
	if err != nil {
		t.Fatal(err)
	}
	defer poll.close()
	l := &loop{poll: poll, found: make([]ready, 1)}
	poll.wake()
	began := time.Now()
	if l.wait(); time.Since(began) > 400*time.Millisecond {
		t.Errorf("the loop slept for %v", time.Since(began))
	}
}
