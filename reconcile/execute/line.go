package execute

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"rsm/reconcile"
	"rsm/schema"
)

// line is a connection that is opened again when it was lost, for commands that
// may be sent twice.
type line struct {
	e        *Executor
	addr     schema.Addr
	sentinel bool
	s        *session
}

// send opens the line if need be. A refusal leaves it open.
func (l *line) send(ctx context.Context, c reconcile.Command) (any, error) {
	if l.s == nil {
		s, err := l.e.open(ctx, l.addr, l.sentinel)
		if err != nil {
			return nil, err
		}
		l.s = s
	}
	reply, err := l.s.send(ctx, c)
	if refused := (*Refused)(nil); err != nil && !errors.As(err, &refused) {
		l.close()
	}
	return reply, err
}

func (l *line) call(ctx context.Context, args ...string) (any, error) {
	return l.send(ctx, reconcile.Command{Addr: l.addr, Sentinel: l.sentinel, Args: args})
}

func (l *line) close() {
	if l.s != nil {
		l.s.close()
		l.s = nil
	}
}

// rank is what ROLE says: whether the server leads, and how far its data set is.
// A replica's offset counts what it has applied.
type rank struct {
	leads, linked bool
	offset        int64
}

// role asks ROLE, which costs the server next to nothing.
func (l *line) role(ctx context.Context) (rank, error) {
	reply, err := l.call(ctx, "ROLE")
	if err != nil {
		return rank{}, err
	}
	list, _ := reply.([]any)
	switch word := first(reply); {
	case word == "master" && len(list) == 3: // master, offset, replicas
		offset, _ := list[1].(int64)
		return rank{leads: true, offset: offset}, nil
	case word == "slave" && len(list) == 5: // slave, host, port, link, offset
		offset, _ := list[4].(int64)
		return rank{linked: list[3] == "connected", offset: offset}, nil
	}
	return rank{}, fmt.Errorf("%s: ROLE: unexpected reply", l.addr)
}

// words reads a reply of names and values in turn.
func words(reply any) map[string]string {
	list, _ := reply.([]any)
	fields := make(map[string]string, len(list)/2)
	for i := 0; i+1 < len(list); i += 2 {
		fields[fmt.Sprint(list[i])] = fmt.Sprint(list[i+1])
	}
	return fields
}

// failingOver asks the Sentinel whether it is in the middle of a failover.
func (l *line) failingOver(ctx context.Context, name string) (bool, error) {
	reply, err := l.call(ctx, "SENTINEL", "MASTER", name)
	return strings.Contains(words(reply)["flags"], "failover_in_progress"), err
}

// electable lists the replicas that the Sentinel would promote, as far as it has
// noticed yet: it asks each every ten seconds (INFO period, sentinel.c).
func (l *line) electable(ctx context.Context, name string) (map[schema.Addr]bool, error) {
	reply, err := l.call(ctx, "SENTINEL", "REPLICAS", name)
	if err != nil {
		return nil, err
	}
	list, _ := reply.([]any)
	found := map[schema.Addr]bool{}
	for _, item := range list {
		f := words(item)
		port, _ := strconv.Atoi(f["port"])
		gone := strings.Contains(f["flags"], "s_down") || strings.Contains(f["flags"], "disconnected")
		if f["slave-priority"] != "0" && !gone {
			found[schema.NewAddr(f["ip"], port)] = true
		}
	}
	return found, nil
}
