package observe

import (
	"context"
	"maps"
	"slices"
	"strconv"

	"rsm/reconcile"
	"rsm/schema"
)

// redis probes one redis-server of the spec.
func (p *pass) redis(ctx context.Context, node schema.RedisNode, r *reconcile.RedisState) {
	role := reconcile.RoleRef{Cluster: p.cluster.Name, Name: node.Name, Kind: reconcile.KindRedis, Addr: node.Addr}
	dropped := p.dropped(node)
	seen := p.wire(ctx, role, p.keys.redis, func(ctx context.Context, s *session) (info, string, error) {
		return p.readRedis(ctx, s, node, dropped, r)
	})
	if seen.reach != reconcile.Up {
		*r = reconcile.RedisState{Name: r.Name, Addr: r.Addr} // what was read before it broke off is no fact
	}
	r.Reach, r.Why, r.Process = seen.reach, seen.why, seen.process
	if p.o.Host == nil {
		return
	}
	if r.Reach == reconcile.Up {
		// The offset of a server that never had a replica stands still, so a write
		// after the copy shows only in the count of unsaved changes.
		r.Copied = seen.info.int("rdb_changes_since_last_save") == 0 && p.o.Host.Kept(role, r.ReplID, seen.info.int("rdb_last_save_time"))
	}
	if r.Process.Local && len(node.Config) > 0 && (r.Reach == reconcile.Down || wouldSet(node, r)) {
		p.checkConfig(ctx, node, r)
	}
	if r.Process.Local && r.Reach == reconcile.Up {
		p.readDefaults(ctx, dropped, r)
	}
}

// wouldSet reports whether a directive of the spec is about to be set, which is
// when its value has to be one that the server takes.
func wouldSet(node schema.RedisNode, r *reconcile.RedisState) bool {
	for key, want := range node.Config {
		if have, known := r.Config[key]; known && !reconcile.SameValue(key, have, want) {
			return true
		}
	}
	return false
}

// checkConfig asks the installed server what it thinks of the directives: a
// running one tells only by setting them.
func (p *pass) checkConfig(ctx context.Context, node schema.RedisNode, r *reconcile.RedisState) {
	bad, err := p.o.Host.CheckConfig(ctx, node.Config)
	if err != nil {
		if r.Reach == reconcile.Down && r.Process.BinaryErr == "" {
			r.Process.BinaryErr = "check configuration: " + err.Error()
		}
		return
	}
	for key, why := range bad {
		if r.BadConfig == nil {
			r.BadConfig = map[string]string{}
		}
		r.BadConfig[key] = why
	}
}

// readRedis fills in what a redis-server says of itself, and what it has for the
// directives of the spec and the dropped ones. The text is why the server is not
// what the spec says, "" when it is.
func (p *pass) readRedis(ctx context.Context, s *session, node schema.RedisNode, dropped []string, r *reconcile.RedisState) (info, string, error) {
	keys := slices.Concat(slices.Sorted(maps.Keys(reconcile.ManagedConfig(node))), dropped)
	commands := [][]any{{"CLIENT", "SETNAME", clientName}, {"INFO"}}
	for _, key := range keys {
		// One call per directive: before Redis 7, CONFIG GET takes only one.
		commands = append(commands, []any{"CONFIG", "GET", key})
	}
	held := p.heldQuestions()
	commands = append(commands, held...)
	replies, err := s.pipeline(ctx, s.withEntry(commands))
	if err != nil {
		return nil, "", err
	}
	if replies[1].err != "" {
		return nil, s.key.explain(replies[1].err), nil
	}
	f := parseInfo(replies[1].text())
	if why := wrongKind(f, "standalone"); why != "" {
		return nil, why, nil
	}
	f.fill(r)
	r.Open = isOpen(replies[len(commands):])
	p.keep(node.Name, replies[len(commands)-len(held):len(commands)])
	readConfig(r, node, keys, replies[2:])
	fillReplica(r, f)
	if r.Role == reconcile.Replica && f["slave_read_only"] == "0" {
		list, err := s.pipeline(ctx, [][]any{{"CLIENT", "LIST"}})
		if err != nil {
			return nil, "", err
		}
		r.Clients = clientCount(list[0].text())
	}
	return f, "", nil
}

// withEntry also asks, when the spec has a password, whether the server wants one
// at all: one without accepts any (AUTH, Redis 6.0). Older servers refuse the
// command; nothing is known then.
func (s *session) withEntry(commands [][]any) [][]any {
	if s.key.ref == nil {
		return commands
	}
	return append(slices.Clip(commands), []any{"ACL", "GETUSER", "default"})
}

// isOpen reads the reply to withEntry's question, if it was asked.
func isOpen(rest []reply) bool {
	if len(rest) == 0 {
		return false
	}
	fields, _ := rest[0].value.([]any)
	for i := 0; i+1 < len(fields); i += 2 {
		if flags, ok := fields[i+1].([]any); ok && fields[i] == "flags" {
			return slices.Contains(flags, any("nopass"))
		}
	}
	return false
}

// readConfig keeps the live values, and names the directives of the spec that
// the server does not know or does not show.
func readConfig(r *reconcile.RedisState, node schema.RedisNode, keys []string, replies []reply) {
	r.Config = make(map[string]string, len(keys))
	for i, key := range keys {
		value, known := replies[i].flat()[key]
		if known {
			r.Config[key] = value
			continue
		}
		if _, wanted := node.Config[key]; !wanted {
			continue
		}
		if r.BadConfig == nil {
			r.BadConfig = map[string]string{}
		}
		switch {
		case replies[i].err != "":
			r.BadConfig[key] = "CONFIG GET: " + replies[i].err
		case slices.Contains(fileOnly, key):
			r.BadConfig[key] = "only read from the configuration file: a running server neither shows nor changes it"
		default:
			r.BadConfig[key] = "unknown directive"
		}
	}
}

// fileOnly are directives that CONFIG GET never shows (config.c of Redis 7.0).
var fileOnly = []string{"include", "loadmodule", "rename-command", "user"}

// fillReplica sets how the server behaves as a replica, now or once it is one.
// INFO shows that only on replicas; replica-announced came with Redis 6.2.
func fillReplica(r *reconcile.RedisState, f info) {
	setting := func(key, field string) string {
		if value, ok := r.Config[key]; ok {
			return value
		}
		return f[field]
	}
	r.ReadOnly = truth(setting("replica-read-only", "slave_read_only"), false)
	r.Announced = truth(setting("replica-announced", "replica_announced"), true)
	priority, err := strconv.Atoi(setting("replica-priority", "slave_priority"))
	if err != nil {
		priority = 100 // Redis' own default
	}
	r.Priority = priority
}

func truth(text string, otherwise bool) bool {
	if text == "" {
		return otherwise
	}
	return text == "yes" || text == "1"
}
