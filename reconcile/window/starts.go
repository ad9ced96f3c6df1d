package window

import (
	"iter"
	"time"
)

// near is the time around an instant in which a clock changes at most once, and
// by less than this.
const near = 12 * time.Hour

// around finds the last begin of a window that at is in.
func (w window) around(at time.Time) (start time.Time, in bool) {
	// A long window that begins often has begun in the last hour: thousands of
	// times before need not be looked at.
	for _, back := range []time.Duration{min(time.Hour, w.length), w.length} {
		for begin := range w.starts(at.Add(-back), at) {
			if !begin.After(at) && begin.Add(w.length).After(at) && begin.After(start) {
				start, in = begin, true
			}
		}
		if in {
			break
		}
	}
	return start, in
}

// after finds the first begin after at, zero when there is none in a year.
func (w window) after(at time.Time) (first time.Time) {
	for begin := range w.starts(at, at.Add(horizon)) {
		if begin.After(at) && (first.IsZero() || begin.Before(first)) {
			first = begin
		}
		if !first.IsZero() && begin.Sub(first) > near {
			break
		}
	}
	return first
}

// starts are the begins from one time to another, and some more where a clock
// changes, where they are not in order either. The schedule is asked for times
// of a clock that never changes.
func (w window) starts(from, to time.Time) iter.Seq[time.Time] {
	return func(yield func(time.Time) bool) {
		early, late := w.offsets(from)
		clock := from.UTC().Add(min(early, late) - time.Second)
		early, late = w.offsets(to)
		last := to.UTC().Add(max(early, late))
		for clock = w.schedule.Next(clock); !clock.IsZero() && !clock.After(last); clock = w.schedule.Next(clock) {
			first, second := w.instants(clock)
			if !yield(first) || !second.IsZero() && !yield(second) {
				return
			}
		}
	}
}

// offsets are how far the clock of the zone is ahead of UTC before and after a
// time; they differ where it changes.
func (w window) offsets(at time.Time) (before, after time.Duration) {
	return w.offset(at.Add(-near)), w.offset(at.Add(near))
}

func (w window) offset(at time.Time) time.Duration {
	_, seconds := at.In(w.zone).Zone()
	return time.Duration(seconds) * time.Second
}

// instants are when the clock of the zone shows a time. second is set when there
// are two that count.
func (w window) instants(clock time.Time) (first, second time.Time) {
	early, late := w.offsets(clock.Add(-w.offset(clock)))
	before, after := clock.Add(-early), clock.Add(-late)
	isBefore, isAfter := w.offset(before) == early, w.offset(after) == late
	switch {
	case early == late:
		return before, time.Time{}
	case isBefore && isAfter && w.hourly:
		return before, after
	case isAfter && !isBefore:
		return after, time.Time{}
	}
	return before, time.Time{} // also when the clock skips it
}
