package bus

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Announce writes that a role is alive. It sets Seen by the clock of Redis, so
// that the clocks of hosts do not matter.
func Announce(ctx context.Context, rdb redis.Cmdable, p Presence) error {
	now, err := rdb.Time(ctx).Result()
	if err == nil {
		p.Seen = now.UTC()
		var value []byte
		if value, err = json.Marshal(p); err == nil {
			err = rdb.HSet(ctx, Roles, p.Kind+"/"+p.Name, value).Err()
		}
	}
	if err != nil {
		return fmt.Errorf("announce %s %s: %w", p.Kind, p.Name, err)
	}
	return nil
}

// withdraw removes the entry unless it has changed since it was read.
var withdraw = redis.NewScript(`
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then
  return redis.call('HDEL', KEYS[1], ARGV[1])
end
return 0`)

// Withdraw removes what Announce wrote, at the end of a role. The entry of another
// process of the same name stays.
func Withdraw(ctx context.Context, rdb redis.Cmdable, p Presence) error {
	field := p.Kind + "/" + p.Name
	value, err := rdb.HGet(ctx, Roles, field).Result()
	if err == redis.Nil {
		return nil
	}
	var known Presence
	if err == nil && json.Unmarshal([]byte(value), &known) == nil && (known.PID != p.PID || known.Host != p.Host) {
		return nil
	}
	if err == nil {
		err = withdraw.Run(ctx, rdb, []string{Roles}, field, value).Err()
	}
	if err != nil {
		return fmt.Errorf("withdraw %s: %w", field, err)
	}
	return nil
}

// Role is a Presence as it is now.
type Role struct {
	Presence
	// Age is how long ago it was seen. Alive means that less than three of its
	// intervals and a second have passed.
	Age   time.Duration
	Alive bool
}

// ReadRoles lists the roles that have announced themselves, by kind and name. An
// entry that cannot be read is in the list, too: not alive, with why in Refusal.
func ReadRoles(ctx context.Context, rdb redis.Cmdable) ([]Role, error) {
	pipe := rdb.Pipeline()
	now, entries := pipe.Time(ctx), pipe.HGetAll(ctx, Roles)
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("read roles: %w", err)
	}
	var roles []Role
	for field, value := range entries.Val() {
		roles = append(roles, readRole(field, value, now.Val()))
	}
	slices.SortFunc(roles, func(a, b Role) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	return roles, nil
}

func readRole(field, value string, now time.Time) Role {
	var r Role
	err := json.Unmarshal([]byte(value), &r.Presence)
	if r.Kind+"/"+r.Name != field && err == nil {
		err = fmt.Errorf("it names %s/%s", r.Kind, r.Name)
	}
	if err != nil {
		r = Role{}
		r.Kind, r.Name, _ = strings.Cut(field, "/")
		r.Refusal = fmt.Sprintf("entry %s of %s cannot be read: %v", field, Roles, err)
		return r
	}
	r.Age = max(now.Sub(r.Seen), 0)
	r.Alive = r.Age < 3*r.Every+time.Second
	return r
}
