package worker

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// refuseFirst fails the first reserve after it has been done, as when the answer is
// lost.
type refuseFirst struct{ left chan struct{} }

func (refuseFirst) DialHook(next redis.DialHook) redis.DialHook { return next }

func (refuseFirst) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (h refuseFirst) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if leases, ok := reserved(cmd); err == nil && ok && leases > 0 {
			select {
			case <-h.left:
				cmd.SetErr(net.ErrClosed)
				return net.ErrClosed
			default:
			}
		}
		return err
	}
}

// reserved says how many tasks a reply to the script that reserves has.
func reserved(cmd redis.Cmder) (n int, ok bool) {
	eval, ok := cmd.(*redis.Cmd)
	if !ok {
		return 0, false
	}
	reply, _ := eval.Val().([]any)
	if len(reply) != 5 {
		return 0, false
	}
	ids, ok := reply[2].([]any)
	return len(ids), ok
}

// What a reserve took whose answer was lost is given back at once; what the next one
// took is not.
func TestLostAnswerOfReserve(t *testing.T) {
	t.Parallel()
	s, c := newSite(t), newTally()
	h := refuseFirst{make(chan struct{}, 1)}
	h.left <- struct{}{}
	s.client.AddHook(h)
	began := time.Now()
	s.add(numbered(200, "t")...)
	s.run(c.run)
	s.idle()
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("it took %s: the lost tasks had to wait for the end of their lease", took)
	}
	for _, task := range numbered(200, "t") {
		if n := c.of(task.ID); n != 1 {
			t.Errorf("%s was run %d times", task.ID, n)
		}
	}
}
