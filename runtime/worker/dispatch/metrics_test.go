package dispatch

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"rsm/internal/redistest"
	"rsm/runtime/bus"
	"rsm/schema"
)

// TestMetrics: what a dispatcher does can be read, and a port that is taken is an
// error.
func TestMetrics(t *testing.T) {
	t.Parallel()
	s := alone(t)
	ops := mails
	ops.Rules = rules(nil).Rules
	s.operate("1", ops)
	role := s.role("d1")
	role.Dispatcher.Metrics = schema.NewAddr("127.0.0.1", redistest.Ports(t, 1)[0])
	ctx, cancel := context.WithCancel(context.Background())
	d := &Dispatcher{Role: role, Redis: bus.Options{Addr: s.addr}}
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	s.listens("d1")
	s.send(`{"type":"eml","host":"web1"}`, `{"host":"web1","agent":"a1","interval":60000,"cpu_usage":95}`, `no`)
	s.rdb.Publish(ctx, bus.Channel, `{"type":"eml"}`)
	redistest.Wait(t, 10*time.Second, func() error {
		response, err := http.Get("http://" + string(role.Dispatcher.Metrics) + "/metrics")
		if err != nil {
			return err
		}
		defer response.Body.Close()
		text, _ := io.ReadAll(response.Body)
		for _, want := range []string{`events_total{result="handed on"} 3`, `events_total{result="dead"} 1`, `tasks_total{result="added"} 3`, `bridged_total{result="added"} 1`,
			`alerts{status="firing"} 1`, "agents 1", "lag 0", "listening 1", "delay_seconds_count 4"} {
			if !strings.Contains(string(text), "\nrsm_dispatcher_"+want+"\n") {
				return fmt.Errorf("%s is not in\n%s", want, text)
			}
		}
		return nil
	})
	other := &Dispatcher{Role: role, Redis: bus.Options{Addr: s.addr}}
	if err := other.Run(ctx); err == nil || !strings.Contains(err.Error(), "serve metrics: listen tcp") {
		t.Errorf("a second one: %v", err)
	}
	roles, err := bus.ReadRoles(ctx, s.rdb)
	if err != nil || len(roles) != 1 || !roles[0].Alive || roles[0].Kind != "dispatcher" {
		t.Errorf("roles %+v, %v", roles, err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if roles, _ := bus.ReadRoles(context.Background(), s.rdb); len(roles) != 0 {
		t.Errorf("it is still there: %+v", roles)
	}
}
