// Package window says when a cluster may be changed unasked. It has no clock
// and does no I/O: who asks tells the time.
//
//	open, next, why := window.Open(cluster.Maintenance, time.Now())
//
// A window begins whenever the clock of its zone shows what its cron expression
// says, and lasts its time of real hours. Where that clock is put forward, a
// time that it skips counts as so long after the change as it would have come
// after it (RFC 5545 does the same). Where the clock is put back, a time that it
// shows twice counts once, the first time; only expressions for every hour begin
// a window both times, so that "every ten minutes" leaves no hour out.
package window

import (
	"fmt"
	"strings"
	"time"

	"github.com/netresearch/go-cron"

	"rsm/schema"
)

// The bounds of the search for the next time.
const (
	horizon = 366 * 24 * time.Hour
	// Windows of each minute could make a year of a million steps.
	mostSteps = 100_000
)

// Open tells whether a cluster may be changed now. When it may not, next is
// when it may the next time, zero when that is more than a year away or never,
// and why says what keeps it, such as `it is inside of deny "0 9 * * 1-5" for 8h0m0s (Europe/Berlin)`.
// When it may, next is now. A window that cannot be read, which schema lets
// none be, keeps the cluster closed.
func Open(m schema.Maintenance, now time.Time) (open bool, next time.Time, why string) {
	allow, err := parse(m.Allow)
	if err != nil {
		return false, time.Time{}, err.Error()
	}
	deny, err := parse(m.Deny)
	if err != nil {
		return false, time.Time{}, err.Error()
	}
	if why = closed(allow, deny, now); why == "" {
		return true, now, ""
	}
	return false, search(allow, deny, now), why
}

// closed says why it is closed, "" when it is open.
func closed(allow, deny []window, now time.Time) string {
	for _, w := range deny {
		if _, in := w.around(now); in {
			return "it is inside of deny " + w.text
		}
	}
	if len(allow) == 0 {
		return ""
	}
	var texts []string
	for _, w := range allow {
		if _, in := w.around(now); in {
			return ""
		}
		texts = append(texts, w.text)
	}
	return "it is outside of allow " + strings.Join(texts, ", ")
}

// search finds the next time at which it is open, zero when there is none: it
// goes on from the end of what denies to the begin of what allows.
func search(allow, deny []window, now time.Time) time.Time {
	at := now
	for range mostSteps {
		next := at
		for _, w := range deny {
			if start, in := w.around(next); in {
				next = start.Add(w.length)
			}
		}
		next = begin(allow, next)
		if next.IsZero() || next.Sub(now) > horizon {
			return time.Time{}
		}
		if next.Equal(at) {
			return at
		}
		at = next
	}
	return time.Time{}
}

// begin is at, when that is allowed, or when it is next; zero for never.
func begin(allow []window, at time.Time) time.Time {
	var first time.Time
	for _, w := range allow {
		if _, in := w.around(at); in {
			return at
		}
		if start := w.after(at); !start.IsZero() && (first.IsZero() || start.Before(first)) {
			first = start
		}
	}
	if len(allow) == 0 {
		return at
	}
	return first
}

// window is a schema.Window made ready.
type window struct {
	schedule cron.Schedule
	length   time.Duration
	zone     *time.Location
	// hourly tells that it begins in every hour, or every few.
	hourly bool
	text   string
}

func parse(list []schema.Window) ([]window, error) {
	var windows []window
	for _, w := range list {
		text := fmt.Sprintf("%q for %s (%s)", w.Cron, w.For, w.Zone)
		schedule, err := cron.ParseStandard(w.Cron)
		if err != nil {
			return nil, fmt.Errorf("read window %s: %w", text, err)
		}
		zone, err := time.LoadLocation(w.Zone)
		if err != nil {
			return nil, fmt.Errorf("read window %s: %w", text, err)
		}
		windows = append(windows, window{schedule, w.For, zone, strings.HasPrefix(strings.Fields(w.Cron)[1], "*"), text})
	}
	return windows, nil
}
