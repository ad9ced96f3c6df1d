package bus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"rsm/reconcile"
	"rsm/schema"
)

// LoadOperations reads the queues, handlers and rules that reconcile has published,
// and the digest that names them, "" when it never did. Something that this rsm
// does not understand is an error that names it; the digest and the rest are right
// all the same.
func LoadOperations(ctx context.Context, rdb redis.Cmdable) (schema.Operations, string, error) {
	fields, err := rdb.HGetAll(ctx, reconcile.OperationsKey).Result()
	if err != nil {
		return schema.Operations{}, "", fmt.Errorf("load operations: %w", err)
	}
	digest := fields["digest"]
	delete(fields, "digest")
	var ops schema.Operations
	var wrong []error
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		if err := decode(&ops, field, []byte(fields[field])); err != nil {
			wrong = append(wrong, fmt.Errorf("load operations: %s %s: %w", reconcile.OperationsKey, field, err))
		}
	}
	slices.SortFunc(ops.Queues, func(a, b schema.Queue) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(ops.Handlers, func(a, b schema.Handler) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(ops.Rules, func(a, b schema.Rule) int { return strings.Compare(a.Name, b.Name) })
	return ops, digest, errors.Join(wrong...)
}

func decode(ops *schema.Operations, field string, value []byte) error {
	kind, _, _ := strings.Cut(field, "/")
	switch kind {
	case "queue":
		return decodeInto(&ops.Queues, value)
	case "handler":
		return decodeInto(&ops.Handlers, value)
	case "rule":
		return decodeInto(&ops.Rules, value)
	}
	return fmt.Errorf("is neither a queue nor a handler nor a rule: is rsm older than what published it?")
}

func decodeInto[T any](list *[]T, value []byte) error {
	var one T
	if err := schema.Decode(value, &one); err != nil {
		return err
	}
	*list = append(*list, one)
	return nil
}

// WatchOperations follows what reconcile publishes.
type WatchOperations struct {
	Client *Client
	// Changed hears each new version, the first when Run starts; err says why it
	// cannot be used, and it is not told again. Until something was published, and
	// when all of it is gone from Redis, it hears nothing: whoever follows keeps what
	// it has.
	Changed func(ops schema.Operations, digest string, err error)
	// Every is how often Redis is asked, default 2 s. An announcement only makes it
	// sooner.
	Every time.Duration
}

// Run follows until ctx ends, and then returns nil. While no master answers it
// goes on asking.
func (w *WatchOperations) Run(ctx context.Context) error {
	every := w.Every
	if every == 0 {
		every = 2 * time.Second
	}
	sub := w.Client.Subscribe(ctx, reconcile.OperationsChannel)
	defer sub.Close()
	wake := sub.Channel()
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	known := ""
	for {
		known = w.look(ctx, known)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case _, open := <-wake:
			if !open {
				wake = nil
			}
		}
	}
}

// look returns the digest that is known now.
func (w *WatchOperations) look(ctx context.Context, known string) string {
	digest, err := w.Client.HGet(ctx, reconcile.OperationsKey, "digest").Result()
	if err != nil || digest == "" || digest == known {
		return known
	}
	ops, digest, err := LoadOperations(ctx, w.Client)
	if digest == "" { // no answer, or gone since
		return known
	}
	w.Changed(ops, digest, err)
	return digest
}
