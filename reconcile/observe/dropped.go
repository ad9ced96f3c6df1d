package observe

import (
	"context"
	"slices"
	"strings"

	"rsm/reconcile"
	"rsm/schema"
)

// dropped lists the directives that rsm managed on the node when it published
// last, and that the spec has no more; sorted. Only this machine's servers can
// be told to go back to the defaults of the redis-server installed here.
func (p *pass) dropped(node schema.RedisNode) []string {
	if p.record == nil || len(p.record.Managed[node.Name]) == 0 || !p.o.Host.Local(node.Addr) {
		return nil
	}
	kept := map[string]bool{}
	for key := range reconcile.ManagedConfig(node) {
		kept[today(key)] = true
	}
	var keys []string
	for _, key := range p.record.Managed[node.Name] {
		if !kept[today(key)] {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// today returns the newest name of a directive: since Redis 7.0 the ziplist ones
// are called listpack, and either name sets the same value. So a new name in the
// spec drops nothing.
func today(key string) string { return strings.ReplaceAll(key, "ziplist", "listpack") }

// readDefaults looks up the defaults of the dropped directives that the server
// has. When they cannot be had the directives stay as they are, and in the
// registration, so that the next time tries again.
func (p *pass) readDefaults(ctx context.Context, dropped []string, r *reconcile.RedisState) {
	keys := slices.DeleteFunc(slices.Clone(dropped), func(key string) bool {
		_, known := r.Config[key]
		return !known
	})
	if len(keys) == 0 {
		return
	}
	if values, err := p.o.Host.Defaults(ctx, keys); err == nil && len(values) > 0 {
		r.Defaults = values
	}
}
