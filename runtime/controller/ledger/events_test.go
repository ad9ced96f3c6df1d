package ledger

import (
	"context"
	"slices"
	"testing"
)

func TestTailHasNoGap(t *testing.T) {
	t.Parallel()
	l := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	for i := 1; i <= 3; i++ {
		if err := l.Tell(Event{Attempt: i}); err != nil {
			t.Fatal(err)
		}
	}
	var got []int
	err := l.Tail(ctx, func(e Event) error {
		got = append(got, e.Attempt)
		switch {
		case e.Attempt == 3: // it is told while what was before is read
			return l.Tell(Event{Attempt: 4})
		case e.Attempt == 4:
			cancel()
		}
		return nil
	})
	if err != nil || !slices.Equal(got, []int{1, 2, 3, 4}) {
		t.Errorf("it hears %v, %v", got, err)
	}
}
