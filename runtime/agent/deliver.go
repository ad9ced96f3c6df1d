package agent

import (
	"context"
	"time"

	"rsm/runtime/bus"
)

const (
	// sendLimit bounds one batch, batchSize is how many events that is.
	sendLimit, batchSize = 2 * time.Second, 200
	// restAfter is how long nothing was sent before the agent rests.
	restAfter = 5 * time.Millisecond
	// presenceEvery is how often the agent says that it is alive.
	presenceEvery = 5 * time.Second
	// A batch that failed is sent again after retryFirst, then twice as long, up to
	// retryMax.
	retryFirst, retryMax = 100 * time.Millisecond, 2 * time.Second
)

// deliver sends what comes into the outbox until ctx ends, and once more when the
// others have ended.
func (a *Agent) deliver(ctx context.Context, client *bus.Client, ended <-chan struct{}) {
	c := courier{agent: a, client: client}
	announce := time.NewTicker(presenceEvery)
	defer announce.Stop()
	idle := time.NewTimer(restAfter)
	defer idle.Stop()
	c.announce(ctx)
	for ctx.Err() == nil {
		var retry <-chan time.Time
		if c.pause > 0 {
			retry = time.After(time.Until(c.retryAt))
		}
		select {
		case <-ctx.Done():
		case <-announce.C:
			c.announce(ctx)
		case <-retry:
			c.send(ctx)
		case <-a.out.wake:
			if c.pause == 0 {
				c.send(ctx)
			}
		case <-a.stirred:
		case <-idle.C:
			if a.Rest != nil {
				a.Rest()
			}
			continue
		}
		idle.Reset(restAfter)
	}
	<-ended
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), sendLimit)
	defer cancel()
	c.send(last)
	if err := bus.Withdraw(last, client.Client, a.presence()); err != nil {
		a.Log.Warn("the entry of this agent stays behind", "error", err)
	}
}

// courier brings events to Redis.
type courier struct {
	agent  *Agent
	client *bus.Client
	// pause is how long to wait after the attempt that failed, 0 when the last one
	// succeeded.
	pause   time.Duration
	retryAt time.Time
}

// send empties the outbox, in batches, or ends with the first that fails.
func (c *courier) send(ctx context.Context) {
	for {
		events, upTo := c.agent.out.peek(batchSize)
		if len(events) == 0 {
			return
		}
		batch, cancel := context.WithTimeout(ctx, sendLimit)
		err := bus.Publish(batch, c.client.Client, keepEvents, events...)
		cancel()
		if err != nil {
			if c.pause == 0 {
				c.agent.Log.Warn("samples wait in the outbox", "error", err)
			}
			c.pause = max(retryFirst, min(2*c.pause, retryMax))
			c.retryAt = time.Now().Add(c.pause)
			return
		}
		if c.pause > 0 {
			c.agent.Log.Info("samples are sent again", "master", c.client.Master(), "dropped", c.agent.out.lost())
		}
		c.pause = 0
		c.agent.out.sent(upTo)
	}
}

// announce tells that the agent is alive. While batches fail, this would, too.
func (c *courier) announce(ctx context.Context) {
	if c.pause > 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, sendLimit)
	defer cancel()
	if err := bus.Announce(ctx, c.client.Client, c.agent.presence()); err != nil {
		c.agent.Log.Warn("cannot announce this agent", "error", err)
	}
}
