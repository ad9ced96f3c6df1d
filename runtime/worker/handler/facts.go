package handler

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"rsm/runtime/bus"
	"rsm/runtime/worker/queue"
)

// StreamFacts tells what Redis knows of a time: the alerts that somebody was told
// of, from Deliveries, and what the queues did. Queues count by days, in UTC: all
// days that the time touches count whole.
func StreamFacts(rdb *redis.Client) func(ctx context.Context, from, until time.Time) (Facts, error) {
	return func(ctx context.Context, from, until time.Time) (Facts, error) {
		f := Facts{}
		told, err := toldAlerts(ctx, rdb, from, until)
		if err != nil {
			return f, err
		}
		f.countAlerts(told, from, until)
		ops, digest, err := bus.LoadOperations(ctx, rdb)
		if err != nil && digest == "" { // what it cannot read of them is no queue that it knows
			return f, err
		}
		for _, settings := range ops.Queues {
			stats, err := queue.New(rdb, settings).Stats(ctx)
			if err != nil {
				return f, err
			}
			q := QueueFact{Queue: settings.Name, Waiting: stats.Pending + stats.Scheduled}
			for day := from.UTC().Truncate(24 * time.Hour); day.Before(until); day = day.Add(24 * time.Hour) {
				counted := stats.Days[day.Format(time.DateOnly)]
				q.Done, q.Failed, q.Dead = q.Done+counted["done"], q.Failed+counted["failed"], q.Dead+counted["dead"]
			}
			f.Queues = append(f.Queues, q)
		}
		return f, nil
	}
}

// toldAlerts are the last that was told of each alert, by its fingerprint and when
// it fired.
func toldAlerts(ctx context.Context, rdb *redis.Client, from, until time.Time) (map[string]AlertFact, error) {
	told := map[string]AlertFact{}
	next, last := strconv.FormatInt(from.UnixMilli(), 10), strconv.FormatInt(until.UnixMilli()-1, 10)
	for {
		entries, err := rdb.XRangeN(ctx, Deliveries, next, last, page).Result()
		if err != nil {
			return nil, fmt.Errorf("read deliveries: %w", err)
		}
		for _, entry := range entries {
			var d Delivery
			text, _ := entry.Values["j"].(string)
			if json.Unmarshal([]byte(text), &d) != nil {
				continue
			}
			for _, a := range d.Alerts {
				key := a.Fingerprint + " " + a.Fired.Format(time.RFC3339Nano)
				if known, ok := told[key]; !ok || known.Ended.IsZero() {
					told[key] = a
				}
			}
		}
		if len(entries) < page {
			return told, nil
		}
		next = "(" + entries[len(entries)-1].ID
	}
}

// countAlerts lists alerts, the newest first.
func (f *Facts) countAlerts(told map[string]AlertFact, from, until time.Time) {
	for _, a := range told {
		f.Alerts = append(f.Alerts, a)
		f.Fired += btoi(!a.Fired.Before(from) && a.Fired.Before(until))
		f.Resolved += btoi(!a.Ended.IsZero())
		f.Firing += btoi(a.Ended.IsZero())
	}
	slices.SortFunc(f.Alerts, func(a, b AlertFact) int {
		return cmp.Or(b.Fired.Compare(a.Fired), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Fingerprint, b.Fingerprint))
	})
}

// mostAlerts is how many alerts of one notification are remembered.
const mostAlerts = 50

// facts are the alerts of a message, for the delivery log.
func (m *Message) facts() (list []AlertFact) {
	if m == nil {
		return nil
	}
	for _, a := range m.Alerts[:min(len(m.Alerts), mostAlerts)] {
		list = append(list, AlertFact{a.Fingerprint, a.Rule, a.Severity, brief(a.Summary), a.Fired.UTC(), a.Ended.UTC()})
	}
	return list
}
