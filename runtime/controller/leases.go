package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rsm/runtime/controller/lease"
	"rsm/runtime/controller/ledger"
	"rsm/schema"
)

const (
	// leaseTime is the longest time between two looks at a lease that is not had.
	leaseTime = 200 * time.Millisecond
	// leaseless is how long nobody may have it before that is told.
	leaseless = 30 * time.Second
)

// leasedNow is for a cluster that this service may touch.
func (w *worker) leasedNow() {
	w.set(func(s *ClusterStatus) { s.Leased = true })
	if w.said["lease"] != "" {
		w.once("lease", ledger.Event{})
		w.tell(ledger.Event{Type: "lease.won", Cluster: w.name, Message: "this service has the lease now"})
	}
}

// elsewhere is for a cluster that this service may not touch now.
func (w *worker) elsewhere(err error) time.Duration {
	w.set(func(s *ClusterStatus) { s.Why, s.Leased = err.Error(), false })
	var lost *lease.LostError
	told := ledger.Event{Level: "warning", Type: "lease.lost", Message: err.Error()}
	switch {
	case !errors.As(err, &lost) || lost.Holder != "":
		w.once("lease", told)
	case w.Now().Sub(lost.Since) >= leaseless && w.said["lease"] == "": // the reasons may come in turns
		told.Message += "; nothing is done meanwhile"
		w.once("lease", told)
	}
	return min(w.Interval, leaseTime)
}

// keepLease runs the lease for the Sentinels of the cluster.
func (w *worker) keepLease(ctx context.Context, cluster *schema.Cluster) {
	if w.Config.Lease == nil {
		return
	}
	key := leaseKey(cluster)
	if w.lease != nil && w.leased == key {
		return
	}
	w.dropLease()
	inner, stop := context.WithCancel(ctx)
	lease := w.Config.Lease(cluster)
	w.lease, w.leased, w.endLease = lease, key, stop
	w.running.Go(func() {
		if err := lease.Run(inner); err != nil && !errors.Is(err, context.Canceled) {
			w.Log.Error("keep lease", "cluster", w.name, "error", err)
		}
	})
}

// leaseKey is equal for clusters whose leases are the same: another commit does
// not mean another one.
func leaseKey(cluster *schema.Cluster) string {
	password := ""
	if p := cluster.Auth.SentinelPassword; p != nil {
		password = p.String()
	}
	return fmt.Sprint(cluster.Sentinel.Nodes, password)
}

func (w *worker) dropLease() {
	if w.endLease != nil {
		w.endLease()
	}
	w.lease, w.endLease = nil, nil
}
