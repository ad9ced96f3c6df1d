package execute

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"rsm/reconcile"
	"rsm/schema"
)

// The pace of a handover.
const (
	// lookInterval is how often roles are asked for while writes wait.
	lookInterval = 2 * time.Millisecond
	// noticeLimit is how long Sentinel may take to notice a priority: it asks every
	// ten seconds.
	noticeLimit = 15 * time.Second
	// keepUpLimit is how long replicas may take before writes are paused to come up
	// to where the master was: one that has just synced hears nothing for a second.
	keepUpLimit = 5 * time.Second
	// catchUpLimit is the most that writes wait for replicas.
	catchUpLimit = time.Second
	// demoteLimit is how long the old master is tried when it cannot be reached.
	demoteLimit = 10 * time.Second
	// grace is for writes that were under way to the old master: they are refused
	// rather than cut off, so that their senders know that nothing was executed.
	grace = 100 * time.Millisecond
)

// Handed tells how a handover went.
type Handed struct {
	// Leader is the new master.
	Leader schema.Addr
	// Stalled is how long the old master let writes wait, CaughtUp the part of it
	// until the replicas had everything; the rest is Sentinel's.
	Stalled, CaughtUp time.Duration
}

// handover is one Handover under way.
type handover struct {
	e      *Executor
	a      reconcile.Handover
	from   *line
	asks   *line   // the Sentinel
	heirs  []*line // who may be promoted, and so needs every write
	others []*line // rivals that are held back, watched all the same
	floor  int64   // the offset up to which clients' writes were acknowledged

	paused, released time.Time
	caughtUp         time.Duration
	// asked: Sentinel was told; sure: and has answered.
	asked, sure bool
}

// handover performs a Handover. Whatever goes wrong, it ends with a master that
// takes writes, and with the rivals' priorities as they were; an interrupt counts
// until Sentinel is asked.
func (e *Executor) handover(ctx context.Context, a reconcile.Handover) error {
	quick := *e
	quick.Timeout = max(50*time.Millisecond, min(e.timeout(), a.Pause/8))
	h := &handover{e: e, a: a, from: &line{e: &quick, addr: a.From.Addr}, asks: &line{e: &quick, addr: a.Sentinel.Addr, sentinel: true}}
	h.heirs = []*line{{e: &quick, addr: a.To.Addr}}
	for _, rival := range a.Rivals {
		if watched := (&line{e: &quick, addr: rival.Addr}); rival.HeldBack {
			h.others = append(h.others, watched)
		} else {
			h.heirs = append(h.heirs, watched)
		}
	}
	defer h.close()
	err := h.holdBack(ctx)
	if err == nil {
		err = h.transfer(ctx)
	}
	return errors.Join(err, h.restore(context.WithoutCancel(ctx)))
}

func (h *handover) close() {
	for _, l := range append(h.replicas(), h.from, h.asks) {
		l.close()
	}
}

func (h *handover) replicas() []*line {
	return append(h.heirs[:len(h.heirs):len(h.heirs)], h.others...)
}

// holdBack takes rivals out of Sentinel's choice, and waits until it knows.
func (h *handover) holdBack(ctx context.Context) error {
	commands := h.a.HoldBack()
	if len(commands) == 0 {
		return nil
	}
	if err := h.e.send(ctx, commands); err != nil {
		return err
	}
	for deadline := time.Now().Add(noticeLimit); ; {
		electable, err := h.asks.electable(ctx, h.a.Cluster)
		if err == nil && !electable[h.a.To.Addr] {
			err = fmt.Errorf("%s would not promote %s", h.a.Sentinel.Name, h.a.To.Name)
		}
		for _, rival := range h.a.Rivals {
			if err == nil && rival.HeldBack && electable[rival.Addr] {
				err = fmt.Errorf("%s has not noticed that %s is held back", h.a.Sentinel.Name, rival.Name)
			}
		}
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case time.Now().After(deadline):
			return fmt.Errorf("nothing was done: within %s %w", noticeLimit, err)
		}
		_ = pause(ctx)
	}
}

// restore gives the rivals their priority back. What it cannot restore, the next
// apply does: the priority is in the spec.
func (h *handover) restore(ctx context.Context) error {
	var failed error
	for _, c := range h.a.Restore() {
		if err := h.e.send(ctx, []reconcile.Command{c}); err != nil {
			failed = errors.Join(failed, fmt.Errorf("restore its priority (rsm apply does): %w", err))
		}
	}
	return failed
}

// transfer is the part during which writes wait.
func (h *handover) transfer(ctx context.Context) error {
	if err := h.connect(ctx); err != nil {
		return fmt.Errorf("nothing was done: %w", err)
	}
	clean := context.WithoutCancel(ctx)
	if _, err := h.from.send(clean, h.a.PauseWrites()); err != nil {
		return h.abort(clean, err)
	}
	h.paused = time.Now()
	at, err := h.from.role(clean)
	if err != nil {
		return h.abort(clean, err)
	}
	h.floor = at.offset
	for {
		s := h.look(ctx, clean)
		switch s.next() {
		case ask:
			h.caughtUp = time.Since(h.paused)
			if err := h.ask(clean); err != nil {
				return h.abort(clean, err)
			}
		case demote:
			return h.demote(clean, s.leader)
		case release:
			if err := h.unpause(clean); err == nil {
				h.released = time.Now()
			}
		case giveUp:
			return h.abort(clean, h.why(ctx, s))
		}
		time.Sleep(lookInterval)
	}
}

// connect opens every line, and waits until replicas keep up, before writes have to
// wait for either.
func (h *handover) connect(ctx context.Context) error {
	at, err := h.from.role(ctx)
	switch {
	case err != nil:
		return err
	case !at.leads:
		return fmt.Errorf("%s is no master any more", h.a.From.Name)
	}
	if _, err := h.asks.failingOver(ctx, h.a.Cluster); err != nil {
		return err
	}
	h.floor = at.offset
	for deadline := time.Now().Add(keepUpLimit); ; time.Sleep(lookInterval) {
		leader, caughtUp, err := h.ranks(ctx)
		switch {
		case leader != "":
			return fmt.Errorf("%s is a master, too", leader)
		case caughtUp:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case time.Now().After(deadline):
			return errors.Join(errors.New("not every replica that Sentinel may promote keeps up"), err)
		}
	}
}

// ranks asks all replicas at once: who of them leads, and whether all that may be
// promoted have everything up to the floor.
func (h *handover) ranks(ctx context.Context) (leader schema.Addr, caughtUp bool, err error) {
	replicas := h.replicas()
	ranks, errs := make([]rank, len(replicas)), make([]error, len(replicas))
	var wg sync.WaitGroup
	for i, l := range replicas {
		wg.Go(func() { ranks[i], errs[i] = l.role(ctx) })
	}
	wg.Wait()
	caughtUp = true
	for i, at := range ranks {
		if errs[i] == nil && at.leads {
			leader = replicas[i].addr
		}
		if i < len(h.heirs) && (errs[i] != nil || !at.linked || at.offset < h.floor) {
			caughtUp = false
		}
	}
	return leader, caughtUp, errors.Join(errs...)
}

// look asks all servers at once. The Sentinel comes first, see sight.over.
func (h *handover) look(ctx, clean context.Context) sight {
	waited := time.Since(h.paused)
	s := sight{
		asked: h.asked, released: !h.released.IsZero(), interrupted: ctx.Err() != nil,
		late: waited > min(catchUpLimit, h.a.Pause/2), hopeless: waited > h.a.Timeout+h.a.Pause,
	}
	if h.asked {
		s.late = waited > h.a.Pause
		going, err := h.asks.failingOver(clean, h.a.Cluster)
		// A Sentinel that has not answered may still begin.
		s.over = err == nil && !going && (h.sure || s.late)
	}
	s.leader, s.caughtUp, _ = h.ranks(clean)
	return s
}

// ask tells Sentinel to fail over. Only its clear refusal is an error: if it is at
// it already, or the answer is lost, somebody may be promoted.
func (h *handover) ask(ctx context.Context) error {
	_, err := h.asks.send(ctx, h.a.Failover())
	var refused *Refused
	if errors.As(err, &refused) && !inProgress(refused) {
		return err
	}
	h.asked, h.sure = true, err == nil || refused != nil
	_, _ = h.from.send(ctx, h.a.KeepPaused()) // if it is lost, the first pause is still in force
	return nil
}
