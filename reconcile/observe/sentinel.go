package observe

import (
	"context"
	"strings"

	"rsm/reconcile"
)

// sentinel probes one Sentinel of the spec.
func (p *pass) sentinel(ctx context.Context, r *reconcile.SentinelState) {
	role := reconcile.RoleRef{Cluster: p.cluster.Name, Name: r.Name, Kind: reconcile.KindSentinel, Addr: r.Addr}
	seen := p.wire(ctx, role, p.keys.sentinel, func(ctx context.Context, s *session) (info, string, error) {
		return readSentinel(ctx, s, p.cluster.Name, r)
	})
	if seen.reach != reconcile.Up {
		*r = reconcile.SentinelState{Name: r.Name, Addr: r.Addr}
	}
	r.Reach, r.Why, r.Process = seen.reach, seen.why, seen.process
}

// readSentinel fills in what a Sentinel says about one master name.
func readSentinel(ctx context.Context, s *session, name string, r *reconcile.SentinelState) (info, string, error) {
	commands := [][]any{
		{"CLIENT", "SETNAME", clientName},
		{"INFO"},
		{"SENTINEL", "MYID"}, // since 6.2
		{"SENTINEL", "MASTER", name},
		{"SENTINEL", "REPLICAS", name},
		{"SENTINEL", "SENTINELS", name},
		{"SENTINEL", "CKQUORUM", name},
	}
	replies, err := s.pipeline(ctx, s.withEntry(commands))
	if err != nil {
		return nil, "", err
	}
	about, myID, master, replicas, peers, quorum := replies[1], replies[2], replies[3], replies[4], replies[5], replies[6]
	if about.err != "" {
		return nil, s.key.explain(about.err), nil
	}
	f := parseInfo(about.text())
	if why := wrongKind(f, "sentinel"); why != "" {
		return nil, why, nil
	}
	r.Open = isOpen(replies[len(commands):])
	r.Version, r.Tilt, r.MyID = f["redis_version"], f.flag("sentinel_tilt"), myID.text()
	if noSuchMaster(master) {
		return f, "", nil
	}
	// Half an answer would read as "it has no replicas", so it is none.
	for _, reply := range []reply{master, replicas, peers} {
		if reply.err != "" {
			return nil, s.key.explain(reply.err), nil
		}
	}
	fillMaster(r, master.flat())
	if r.Master == "" {
		return nil, "SENTINEL MASTER answered without an address", nil
	}
	r.Replicas, r.Peers = knownReplicas(replicas.maps()), knownPeers(peers.maps())
	r.Usable, r.QuorumText = quorum.err == "", quorum.err+quorum.text()
	return f, "", nil
}

// noSuchMaster tells "I do not watch that name" from every other error; the text
// is the same from Redis 2.8 to 8 (sentinel.c, sentinelGetMasterByNameOrReplyError).
func noSuchMaster(r reply) bool { return strings.Contains(r.err, "No such master") }
