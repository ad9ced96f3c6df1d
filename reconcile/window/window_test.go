package window

import (
	"strings"
	"testing"
	"time"

	"rsm/schema"
)

const (
	berlin  = "Europe/Berlin"
	newYork = "America/New_York"
	beirut  = "Asia/Beirut" // its clock changes at midnight
)

// at is a time such as "2026-03-29 03:30 +02".
func at(t *testing.T, text string) time.Time {
	t.Helper()
	got, err := time.Parse("2006-01-02 15:04 -07", text)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func win(cron, length, zone string) schema.Window {
	d, _ := time.ParseDuration(length)
	return schema.Window{Cron: cron, For: d, Zone: zone}
}

func list(windows ...schema.Window) []schema.Window { return windows }

// TestOpen: allow, deny, and when it opens next; "open" or the time, "never".
func TestOpen(t *testing.T) {
	t.Parallel()
	saturday := list(win("0 2 * * 6", "4h", "UTC"))
	office := list(win("0 8 * * 1-5", "10h", berlin))
	for _, test := range []struct {
		name        string
		allow, deny []schema.Window
		now, want   string
	}{
		{"no windows", nil, nil, "2026-03-04 12:00 +00", "open"},
		{"before", saturday, nil, "2026-03-07 01:59 +00", "2026-03-07 02:00 +00"},
		{"at the begin", saturday, nil, "2026-03-07 02:00 +00", "open"},
		{"inside", saturday, nil, "2026-03-07 05:59 +00", "open"},
		{"at the end", saturday, nil, "2026-03-07 06:00 +00", "2026-03-14 02:00 +00"},
		{"now in another zone", saturday, nil, "2026-03-06 21:30 -05", "open"},
		{"one of two", append(list(win("0 4 * * 3", "1h", "UTC")), saturday...), nil, "2026-03-09 00:00 +00", "2026-03-11 04:00 +00"},
		{"over midnight", list(win("0 22 * * *", "4h", "UTC")), nil, "2026-03-09 01:00 +00", "open"},
		{"over the new year", list(win("0 22 31 12 *", "4h", "UTC")), nil, "2027-01-01 01:00 +00", "open"},
		{"denied", nil, office, "2026-03-04 12:00 +01", "2026-03-04 18:00 +01"},
		{"not denied", nil, office, "2026-03-04 18:00 +01", "open"},
		{"not denied at the weekend", nil, office, "2026-03-07 12:00 +01", "open"},
		{"deny wins", list(win("0 0 * * *", "24h", "UTC")), office, "2026-03-04 12:00 +01", "2026-03-04 18:00 +01"},
		{"deny cuts the allowed", list(win("0 6 * * 1-5", "3h", berlin)), office, "2026-03-04 09:00 +01", "2026-03-05 06:00 +01"},
		{"denies one after another", nil, list(win("0 8 * * *", "2h", "UTC"), win("0 10 * * *", "2h", "UTC"), win("30 11 * * *", "1h", "UTC")),
			"2026-03-04 08:00 +00", "2026-03-04 12:30 +00"},
		{"denies that overlap themselves", nil, list(win("*/10 8-9 * * *", "15m", "UTC")), "2026-03-04 08:05 +00", "2026-03-04 10:05 +00"},
		{"always denied", nil, list(win("*/30 * * * *", "1h", "UTC")), "2026-03-04 08:05 +00", "never"},
		{"denied minute by minute", nil, list(win("* * 1-30 * *", "1m", "UTC")), "2026-03-04 08:05 +00", "2026-03-31 00:00 +00"},
		{"allowed where it is denied", saturday, list(win("0 1 * * 6", "6h", "UTC")), "2026-03-04 08:05 +00", "never"},
		{"in four years", list(win("0 0 29 2 *", "1h", "UTC")), nil, "2025-03-04 08:05 +00", "never"},
		{"in a year", list(win("0 0 1 3 *", "1h", "UTC")), nil, "2025-03-04 08:05 +00", "2026-03-01 00:00 +00"},
		{"a week", list(win("0 0 1 * *", "168h", "UTC")), nil, "2026-03-07 23:59 +00", "open"},
		{"bad cron", list(win("x", "1h", "UTC")), nil, "2026-03-07 23:59 +00", "never"},
		{"bad zone", nil, list(win("0 0 1 * *", "1h", "Nowhere")), "2026-03-07 23:59 +00", "never"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			check(t, schema.Maintenance{Allow: test.allow, Deny: test.deny}, at(t, test.now), test.want)
		})
	}
}

func check(t *testing.T, m schema.Maintenance, now time.Time, want string) {
	t.Helper()
	open, next, why := Open(m, now)
	got := "never"
	switch {
	case open:
		got = "open"
		if why != "" || !next.Equal(now) {
			t.Errorf("open, but next is %s because %q", next, why)
		}
	case !next.IsZero():
		got = "at a time"
		if when, err := time.Parse("2006-01-02 15:04 -07", want); err == nil && when.Equal(next) {
			return
		}
		got = next.String()
	}
	if got != want || !open && why == "" {
		t.Errorf("got %s (%s), want %s", got, why, want)
	}
}

// TestClockChanges: the nights in which clocks are put forward and back.
func TestClockChanges(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		allow
		now, want string
	}{
		// 02:00 +01 is 03:00 +02.
		{"skipped: begins as long after", allow{"30 2 * * *", "1h", berlin}, "2026-03-29 01:59 +01", "2026-03-29 03:30 +02"},
		{"skipped: lasts its time", allow{"30 2 * * *", "1h", berlin}, "2026-03-29 04:29 +02", "open"},
		{"skipped: ends", allow{"30 2 * * *", "1h", berlin}, "2026-03-29 04:30 +02", "2026-03-30 02:30 +02"},
		{"an hour is missing inside", allow{"0 1 * * *", "2h", berlin}, "2026-03-29 03:59 +02", "open"},
		{"an hour is missing inside: ends", allow{"0 1 * * *", "2h", berlin}, "2026-03-29 04:00 +02", "2026-03-30 01:00 +02"},
		{"the day before", allow{"0 4 * * *", "1h", berlin}, "2026-03-28 12:00 +01", "2026-03-29 04:00 +02"},
		// 03:00 +02 is 02:00 +01.
		{"twice: begins the first time", allow{"30 2 * * *", "30m", berlin}, "2026-10-25 02:29 +02", "2026-10-25 02:30 +02"},
		{"twice: not the second time", allow{"30 2 * * *", "30m", berlin}, "2026-10-25 02:30 +01", "2026-10-26 02:30 +01"},
		{"twice: lasts its time", allow{"30 2 * * *", "2h", berlin}, "2026-10-25 03:29 +01", "open"},
		{"twice: ends", allow{"30 2 * * *", "2h", berlin}, "2026-10-25 03:30 +01", "2026-10-26 02:30 +01"},
		{"hourly: both times", allow{"*/10 * * * *", "10m", berlin}, "2026-10-25 02:35 +01", "open"},
		{"hourly: next is the second time", allow{"0 * * * *", "10m", berlin}, "2026-10-25 02:35 +02", "2026-10-25 02:00 +01"},
		{"hourly: nothing is missing", allow{"*/10 * * * *", "10m", berlin}, "2026-03-29 03:05 +02", "open"},
		{"the day after", allow{"0 4 * * *", "1h", berlin}, "2026-10-24 12:00 +02", "2026-10-25 04:00 +01"},
		// 02:00 -05 is 03:00 -04 on 8 March; 02:00 -04 is 01:00 -05 on 1 November.
		{"New York, skipped", allow{"30 2 * * 0", "1h", newYork}, "2026-03-08 01:00 -05", "2026-03-08 03:30 -04"},
		{"New York, not yet in Berlin", allow{"30 2 * * *", "1h", berlin}, "2026-03-08 00:00 +01", "2026-03-08 02:30 +01"},
		{"New York, twice", allow{"30 1 * * 0", "1h", newYork}, "2026-11-01 01:15 -05", "open"},
		{"New York, twice: ends", allow{"30 1 * * 0", "1h", newYork}, "2026-11-01 01:30 -05", "2026-11-08 01:30 -05"},
		{"Beirut: midnight is skipped", allow{"0 0 * * *", "1h", beirut}, "2026-03-28 23:59 +02", "2026-03-29 01:00 +03"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			check(t, schema.Maintenance{Allow: list(win(test.cron, test.length, test.zone))}, at(t, test.now), test.want)
		})
	}
}

type allow struct{ cron, length, zone string }

// TestNoHole: what is denied at all times stays so through every change of the
// clock.
func TestNoHole(t *testing.T) {
	t.Parallel()
	for zone, days := range map[string][]string{
		berlin: {"2026-03-29", "2026-10-25"}, newYork: {"2026-03-08", "2026-11-01"}, beirut: {"2026-03-29", "2026-10-25"},
		"Australia/Lord_Howe": {"2026-04-05", "2026-10-04"}, "Antarctica/Troll": {"2026-03-29", "2026-10-25"}, "UTC": {"2026-01-01"},
	} {
		deny, err := parse(list(win("*/5 * * * *", "5m", zone)))
		if err != nil {
			t.Fatal(err)
		}
		for _, day := range days {
			noon := at(t, day+" 12:00 +00")
			for now := noon.Add(-36 * time.Hour); now.Before(noon.Add(24 * time.Hour)); now = now.Add(7 * time.Minute) {
				if closed(nil, deny, now) == "" {
					t.Fatalf("%s: open at %s", zone, now)
				}
			}
		}
	}
}

// TestSearchIsBounded: the worst of cases take a moment.
func TestSearchIsBounded(t *testing.T) {
	t.Parallel()
	began := time.Now()
	m := schema.Maintenance{Allow: list(win("* * * * *", "1s", "UTC")), Deny: list(win("* * * * *", "2s", berlin), win("* * * * *", "168h", newYork))}
	if open, next, why := Open(m, at(t, "2026-03-07 23:59 +00")); open || !next.IsZero() || !strings.Contains(why, "deny") {
		t.Errorf("got %v %v %q", open, next, why)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
}
