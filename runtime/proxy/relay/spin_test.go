package relay

import (
	"testing"
	"time"
)

func TestSpin(t *testing.T) {
	const short, long = 25 * time.Microsecond, time.Second
	for name, c := range map[string]struct {
		sleeps []time.Duration
		want   time.Duration
	}{
		"an idle loop does not look":            {[]time.Duration{long, long}, 0},
		"a short sleep was not worth it":        {[]time.Duration{short}, 2 * short},
		"a longer one says nothing new":         {[]time.Duration{short, short / 5}, 2 * short},
		"never longer than a sleep costs":       {[]time.Duration{maxSpin - 1}, maxSpin},
		"what comes late was looked for vainly": {[]time.Duration{short, maxSpin}, short},
		"it forgets":                            {[]time.Duration{short, long, long, long, long}, short / 8},
	} {
		t.Run(name, func(t *testing.T) {
			var s spin
			for _, d := range c.sleeps {
				s.slept(d)
			}
			if s.window != c.want {
				t.Errorf("it looks for %s, want %s", s.window, c.want)
			}
		})
	}
}
