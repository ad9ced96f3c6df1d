package queue_test

import (
	"strings"
)

// audit checks what must hold whenever no script runs: each id is in exactly one
// place, and no record is left of one that is in none.
func (b *bench) audit() {
	b.Helper()
	ctx, place := b.Context(), map[string]string{}
	put := func(where string, ids []string) {
		for _, id := range ids {
			if strings.HasPrefix(id, "{") {
				continue
			}
			if other := place[id]; other != "" {
				b.Errorf("%s is in %s and in %s", id, other, where)
			}
			place[id] = where
		}
	}
	list := "task_list"
	if b.Name() != "default" {
		list = b.key("pending")
	}
	put("pending", b.rdb.LRange(ctx, list, 0, -1).Val())
	for _, key := range b.rdb.Keys(ctx, "rsm:{"+b.Name()+"}:pending:*").Val() {
		put(key, b.rdb.LRange(ctx, key, 0, -1).Val())
	}
	for _, name := range []string{"lease", "sched", "dead"} {
		put(name, b.rdb.ZRange(ctx, b.key(name), 0, -1).Val())
	}
	messages := b.rdb.HGetAll(ctx, b.key("m")).Val()
	for id := range messages {
		if place[id] == "" {
			b.Errorf("%s is nowhere", id)
		}
	}
	for id, where := range place {
		if _, ok := messages[id]; !ok {
			b.Errorf("%s in %s has no message", id, where)
		}
	}
	for _, name := range []string{"a", "c", "err", "lane", "own"} {
		for _, id := range b.rdb.HKeys(ctx, b.key(name)).Val() {
			if _, ok := messages[id]; !ok {
				b.Errorf("%s is gone, and has a record in %s", id, name)
			}
			if name == "own" && place[id] != "lease" {
				b.Errorf("%s is in %s, and has an owner", id, place[id])
			}
		}
	}
	b.auditWorkers(place)
	for _, id := range b.rdb.HKeys(ctx, b.key("u")).Val() {
		if _, ok := messages[id]; !ok {
			b.Errorf("%s is gone, and has a record in u", id)
		}
	}
}

// auditWorkers compares the view of each worker with the leases.
func (b *bench) auditWorkers(place map[string]string) {
	b.Helper()
	ctx, viewed := b.Context(), 0
	for _, key := range b.rdb.Keys(ctx, "worker_list:*").Val() {
		for _, id := range b.rdb.LRange(ctx, key, 0, -1).Val() {
			viewed++
			token := b.rdb.HGet(ctx, b.key("own"), id).Val()
			if place[id] != "lease" || !strings.HasPrefix(token, strings.TrimPrefix(key, "worker_list:")+"/") {
				b.Errorf("%s is in %s, and in %s with owner %q", id, key, place[id], token)
			}
		}
	}
	if active := b.rdb.ZCard(ctx, b.key("lease")).Val(); int(active) != viewed {
		b.Errorf("%d leases, %d tasks in the lists of workers", active, viewed)
	}
}
