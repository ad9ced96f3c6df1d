package dispatch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/redis/go-redis/v9"

	"rsm/runtime/worker/alert"
)

// ErrNoSilence is returned for an id that no silence has.
var ErrNoSilence = errors.New("there is no such silence")

// changeSilence stores or deletes a silence and makes all groups due. ARGV: id, JSON
// or "", when it is due itself.
var changeSilence = redis.NewScript(`
local call = redis.call
if ARGV[2] == '' then
  if call('HDEL', '` + Silences + `', ARGV[1]) == 0 then return 0 end
  call('ZREM', '` + due + `', 's:' .. ARGV[1])
else
  call('HSET', '` + Silences + `', ARGV[1], ARGV[2])
  call('ZADD', '` + due + `', ARGV[3], 's:' .. ARGV[1])
end
local clock = call('TIME')
local now = clock[1] * 1000
for _, key in ipairs(call('HKEYS', '` + Groups + `')) do
  call('HINCRBY', '` + revisions + `', key, 1)
  call('ZADD', '` + due + `', now, 'g:' .. key)
end
return 1`)

// AddSilence stores a silence; all dispatchers follow it within a second.
func AddSilence(ctx context.Context, rdb redis.Scripter, s alert.Silence) error {
	s.Version = 1
	if err := s.Validate(); err != nil {
		return fmt.Errorf("add silence: %w", err)
	}
	at := s.Ends
	if s.UntilResolved {
		at = s.Starts
	}
	if err := changeSilence.Run(ctx, rdb, nil, s.ID, encode(s), at.UnixMilli()).Err(); err != nil {
		return fmt.Errorf("add silence: %w", err)
	}
	return nil
}

// ExpireSilence ends a silence now. The error is ErrNoSilence when there is none.
func ExpireSilence(ctx context.Context, rdb redis.Scripter, id string) error {
	n, err := changeSilence.Run(ctx, rdb, nil, id, "", "").Int()
	if err == nil && n == 0 {
		err = ErrNoSilence
	}
	if err != nil {
		return fmt.Errorf("expire silence %s: %w", id, err)
	}
	return nil
}

// ReadSilences lists the silences, that which ends first first.
func ReadSilences(ctx context.Context, rdb redis.Cmdable) ([]alert.Silence, error) {
	list, err := read(ctx, rdb, Silences, func(s alert.Silence) string { return s.ID })
	slices.SortFunc(list, func(a, b alert.Silence) int { return cmp.Or(a.Ends.Compare(b.Ends), cmp.Compare(a.ID, b.ID)) })
	return list, err
}

// ReadAlerts lists the alerts, by rule and age.
func ReadAlerts(ctx context.Context, rdb redis.Cmdable) ([]alert.Alert, error) {
	list, err := read(ctx, rdb, Alerts, func(a alert.Alert) string { return a.Fingerprint })
	slices.SortFunc(list, func(a, b alert.Alert) int {
		return cmp.Or(cmp.Compare(a.Rule, b.Rule), a.Since.Compare(b.Since), cmp.Compare(a.Fingerprint, b.Fingerprint))
	})
	return list, err
}

// read lists the values of a hash that can be read and have the name that they are
// stored by.
func read[T any](ctx context.Context, rdb redis.Cmdable, key string, name func(T) string) ([]T, error) {
	values, err := rdb.HGetAll(ctx, key).Result()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	list := make([]T, 0, len(values))
	for field, value := range values {
		if one := decode[T](value); one != nil && name(*one) == field {
			list = append(list, *one)
		}
	}
	return list, nil
}
