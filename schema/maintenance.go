package schema

import (
	"strings"
	"time"
	_ "time/tzdata" // zones must not depend on what the machine has installed

	"github.com/netresearch/go-cron"
)

// The default and the limit of a maintenance window.
const (
	defaultZone   = "UTC"
	longestWindow = 7 * 24 * time.Hour
)

func (d *decoder) maintenance(path string, fields map[string]any) Maintenance {
	return Maintenance{
		Allow: d.windows(path+".allow", get[[]any](fields, "allow")),
		Deny:  d.windows(path+".deny", get[[]any](fields, "deny")),
	}
}

func (d *decoder) windows(path string, list []any) []Window {
	var windows []Window
	for i, entry := range list {
		fields, ok := entry.(map[string]any)
		if !ok {
			continue
		}
		at := element(path, i)
		w := Window{Cron: strings.Join(strings.Fields(get[string](fields, "cron")), " "), Zone: or(fields, "zone", defaultZone)}
		if text := get[string](fields, "for"); text != "" {
			w.For = d.durationUpTo(at+".for", text, longestWindow)
		}
		d.checkCron(at+".cron", w.Cron)
		d.checkZone(at+".zone", w.Zone)
		windows = append(windows, w)
	}
	return windows
}

// checkCron refuses what cannot be read and what never comes.
func (d *decoder) checkCron(path, text string) {
	if text == "" {
		return // reported already
	}
	schedule, err := cron.ParseStandard(text)
	switch {
	case err != nil:
		d.report(CodeCron, path, false, "%v", err)
	case schedule.Next(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero():
		d.report(CodeCron, path, false, "%q never comes", text)
	}
}
