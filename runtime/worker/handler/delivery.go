package handler

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// Deliveries is the stream with what handlers did: one field, "j", with the JSON
// of a Delivery.
const Deliveries = "rsm:deliveries"

// Delivery is one attempt of one handler, without secrets.
type Delivery struct {
	Time    time.Time `json:"time"`
	Handler string    `json:"handler"`
	// Kind is "email", "webhook", "slack", "exec", "log", "report" or "rsm".
	Kind    string `json:"kind"`
	Task    string `json:"task"`
	Attempt int    `json:"attempt"`
	// Worker is who ran it, empty when it did not say.
	Worker string `json:"worker,omitempty"`
	OK     bool   `json:"ok"`
	// Response is what the receiver said, Error why it failed; both on one line.
	Response string        `json:"response,omitempty"`
	Error    string        `json:"error,omitempty"`
	Duration time.Duration `json:"duration"`
	// Alerts are what it was about, the first 50.
	Alerts []AlertFact `json:"alerts,omitempty"`
}

// AppendDelivery adds d to Deliveries, which keeps the latest keep of them, about.
func AppendDelivery(ctx context.Context, rdb redis.Cmdable, keep int64, d Delivery) error {
	content, err := json.Marshal(d)
	if err == nil {
		err = rdb.XAdd(ctx, &redis.XAddArgs{Stream: Deliveries, MaxLen: keep, Approx: keep > 0, Values: []any{"j", content}}).Err()
	}
	if err != nil {
		return fmt.Errorf("append delivery of %s: %w", d.Task, err)
	}
	return nil
}

// ListDeliveries returns the latest n, the newest first. What is no Delivery is
// left out.
func ListDeliveries(ctx context.Context, rdb redis.Cmdable, n int64) ([]Delivery, error) {
	entries, err := rdb.XRevRangeN(ctx, Deliveries, "+", "-", n).Result()
	if err != nil {
		return nil, fmt.Errorf("list deliveries: %w", err)
	}
	var list []Delivery
	for _, entry := range entries {
		var d Delivery
		text, _ := entry.Values["j"].(string)
		if json.Unmarshal([]byte(text), &d) == nil {
			list = append(list, d)
		}
	}
	return list, nil
}
