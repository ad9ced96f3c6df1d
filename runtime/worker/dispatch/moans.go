package dispatch

import (
	"log/slog"
	"time"
)

// moans logs what may be wrong with each of ten thousand events, once a second.
type moans struct {
	last    time.Time
	skipped int
}

func (m *moans) warn(log *slog.Logger, what string, args ...any) {
	if time.Since(m.last) < time.Second {
		m.skipped++
		return
	}
	if m.skipped > 0 {
		args = append(args, "more", m.skipped)
	}
	m.last, m.skipped = time.Now(), 0
	log.Warn(what, args...)
}
