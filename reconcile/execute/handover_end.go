package execute

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"rsm/reconcile"
	"rsm/schema"
)

// demote makes the old master follow the new one, and only then lets its clients
// go on: their writes are refused with READONLY, blocked ones with UNBLOCKED.
func (h *handover) demote(ctx context.Context, leader schema.Addr) error {
	if err := h.insist(ctx, h.a.Demote(leader)); err != nil {
		return fmt.Errorf("%s leads, but %s could not be made its replica (rsm apply does): %w", leader, h.a.From.Name, err)
	}
	now := time.Now()
	until := now
	if !h.released.IsZero() {
		until = h.released
	}
	if h.e.Handed != nil {
		h.e.Handed(Handed{Leader: leader, Stalled: until.Sub(h.paused), CaughtUp: h.caughtUp})
	}
	time.Sleep(grace)
	var failed error
	for _, c := range []reconcile.Command{h.a.Disconnect(), h.a.Persist()} {
		if _, err := h.from.send(ctx, c); err != nil && !tolerable(c, err) {
			failed = errors.Join(failed, err)
		}
	}
	switch {
	case !h.released.IsZero():
		failed = errors.Join(failed, fmt.Errorf("%s was promoted only after writes went on at %s for %s: some of them may be lost",
			leader, h.a.From.Name, now.Sub(h.released).Round(time.Millisecond)))
	case h.a.Exact && leader != h.a.To.Addr:
		failed = errors.Join(failed, fmt.Errorf("it is %s that Sentinel promoted, not %s", leader, h.a.To.Name))
	}
	return failed
}

// insist sends commands in order and starts again when the connection is lost.
func (h *handover) insist(ctx context.Context, commands []reconcile.Command) error {
	for deadline := time.Now().Add(demoteLimit); ; time.Sleep(10 * lookInterval) {
		var err error
		for _, c := range commands {
			if _, err = h.from.send(ctx, c); err != nil {
				break
			}
		}
		var refused *Refused
		if err == nil || errors.As(err, &refused) || time.Now().After(deadline) {
			return err
		}
	}
}

func (h *handover) unpause(ctx context.Context) error {
	return h.insist(ctx, []reconcile.Command{h.a.Unpause()})
}

// abort leaves the old master as it was, and lets its clients go on.
func (h *handover) abort(ctx context.Context, why error) error {
	if err := h.unpause(ctx); err != nil {
		return errors.Join(why, fmt.Errorf("writes at %s wait until its pause is over: %w", h.a.From.Name, err))
	}
	return fmt.Errorf("%w; %s stays the master", why, h.a.From.Name)
}

// why says what a handover that was given up has failed at.
func (h *handover) why(ctx context.Context, s sight) error {
	switch {
	case !h.asked && s.interrupted:
		return context.Cause(ctx)
	case !h.asked:
		return fmt.Errorf("not every replica that Sentinel may promote had all writes within %s", min(catchUpLimit, h.a.Pause/2))
	case s.over:
		return fmt.Errorf("%s gave the failover up, see its log", h.a.Sentinel.Name)
	}
	return fmt.Errorf("nobody was promoted within %s", h.a.Timeout)
}

// inProgress recognises the refusal of a Sentinel that is failing over already
// (sentinel.c, sentinelCommand).
func inProgress(r *Refused) bool { return strings.HasPrefix(r.Reply, "INPROG") }
