package controller

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"rsm/runtime/controller/ledger"
)

// assign starts workers for clusters that have none, and ends those of clusters
// that are declared no more. The servers of such a cluster are left alone.
func (c *Controller) assign(ctx context.Context) {
	wanted, err := c.wanted()
	if err != nil {
		c.Log.Error("read ledger", "error", err)
		return
	}
	if accepted, _, _ := c.feed.state(); accepted != nil {
		c.enlist(wanted)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, w := range c.workers {
		if !slices.Contains(wanted, name) {
			w.stop()
			delete(c.workers, name)
		}
	}
	for _, name := range wanted {
		if c.workers[name] == nil {
			inner, stop := context.WithCancel(ctx)
			w := newWorker(c, name, stop)
			c.workers[name] = w
			c.running.Go(func() { w.run(inner) })
		}
	}
}

// wanted returns the clusters of the accepted commit, or of the ledger while none
// is known.
func (c *Controller) wanted() ([]string, error) {
	if accepted, _, _ := c.feed.state(); accepted != nil {
		var names []string
		for _, cluster := range accepted.spec.Clusters {
			names = append(names, cluster.Name)
		}
		return names, nil
	}
	control, err := c.Ledger.Read()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(control.Clusters)) {
		if known := control.Cluster(name); known.Tree != "" && known.Left.IsZero() {
			names = append(names, name)
		}
	}
	return names, nil
}

// enlist writes down which clusters are declared, so that people can decide about
// them, and which no more, which it tells once: without the repository the ledger
// says what to keep up, and they are not to be.
func (c *Controller) enlist(declared []string) {
	const why = "it is declared no more; its servers are left alone (rsm destroy takes them down)"
	var left []string
	changed, same := false, errors.New("nothing to write")
	err := c.Ledger.Update(func(control *ledger.Control) error {
		for _, name := range declared {
			changed = changed || control.Clusters[name] == nil
			control.Cluster(name)
		}
		for name := range control.Clusters {
			known := control.Cluster(name)
			switch is := slices.Contains(declared, name); {
			case is && !known.Left.IsZero():
				known.Left, changed = time.Time{}, true
			case !is && known.Left.IsZero():
				known.Left, known.Waiting = c.Now().UTC(), why
				left, changed = append(left, name), true
			}
		}
		if !changed {
			return same
		}
		return nil
	})
	if err != nil && !errors.Is(err, same) {
		c.Log.Error("write ledger", "error", err)
		return
	}
	for _, name := range slices.Sorted(slices.Values(left)) {
		c.tell(ledger.Event{Level: "warning", Type: "cluster.left", Cluster: name, Message: why})
	}
}
