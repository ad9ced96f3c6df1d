package reconcile

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
)

// Fingerprint digests what a plan depends on: who is reachable, which role and
// master everybody has, which process it is, the Sentinels' knowledge, and the
// managed settings, also those of proxies. What moves by itself (offsets, keys, uptime) is not in it.
func Fingerprint(s *State) string {
	h := sha256.New()
	for _, name := range names(s.Redis) {
		r := s.Redis[name]
		fmt.Fprintln(h, name, r.Addr, r.Reach, r.RunID, r.Role, r.Master, r.LinkUp, r.Loading, r.ReplID, r.FailoverState,
			r.Keys > 0, r.Process.Running, r.Process.Foreign, r.Process.Data)
		for _, key := range names(r.Config) {
			fmt.Fprintf(h, "%s=%q\n", key, r.Config[key])
		}
	}
	for _, name := range names(s.Sentinels) {
		printSentinel(h, name, s.Sentinels[name])
	}
	for _, name := range names(s.Roles) {
		r := s.Roles[name]
		fmt.Fprintln(h, name, r.Addr, r.Reach, r.Digest, r.Refused, r.Process.Running, r.Process.Foreign)
	}
	if p := s.Published; p != nil {
		fmt.Fprintln(h, p.Operations, p.Roles, p.Why)
	}
	for _, r := range s.Surplus {
		fmt.Fprintln(h, r.Name, r.Kind, r.Addr, r.Running)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func printSentinel(h hash.Hash, name string, r *SentinelState) {
	fmt.Fprintln(h, name, r.Addr, r.Reach, r.MyID, r.Master, r.Epoch, r.HasFlag("failover_in_progress"),
		r.Quorum, r.DownAfter, r.FailoverTimeout, r.ParallelSyncs, r.Process.Running, r.Process.Foreign)
	known := map[string]bool{}
	for _, k := range r.Replicas {
		known["replica "+string(k.Addr)] = true
	}
	for _, k := range r.Peers {
		known["peer "+string(k.Addr)] = true
	}
	fmt.Fprintln(h, names(known))
}
