package observe

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"syscall"

	"rsm/reconcile"
)

// sight is what one probe found out about reaching a server.
type sight struct {
	reach   reconcile.Reach
	why     string
	process reconcile.Process
	info    info // nil unless reach is Up
}

// reader reads a server over an open session. It returns its INFO, or why it is
// not the server that the spec says, or why the connection failed.
type reader func(ctx context.Context, s *session) (info, string, error)

// wire reads one server within one deadline, and then what this machine knows of
// its process.
func (p *pass) wire(ctx context.Context, role reconcile.RoleRef, k key, read reader) sight {
	seen := p.contact(ctx, role, k, read)
	host := p.o.Host
	if host == nil || !host.Local(role.Addr) {
		return seen
	}
	seen.process = host.Process(ctx, role)
	pid, _ := strconv.Atoi(seen.info["process_id"])
	if file := seen.info["config_file"]; !seen.process.Running && file != "" && pid > 0 && host.Adopt(role, file, pid) {
		seen.process = host.Process(ctx, role)
	}
	if seen.reach == reconcile.Down && seen.process.Running {
		seen.reach = reconcile.Unknown
		seen.why = fmt.Sprintf("process %d runs but refuses connections", seen.process.PID)
	}
	return seen
}

// contact connects and reads.
func (p *pass) contact(ctx context.Context, role reconcile.RoleRef, k key, read reader) sight {
	timeout := p.o.timeout()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	s, err := p.o.open(ctx, role.Addr, k)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return sight{reach: reconcile.Down, why: "connection refused"}
	case err != nil && isTimeout(err):
		return sight{reach: reconcile.Unknown, why: fmt.Sprintf("no answer within %s", timeout)}
	case err != nil:
		return sight{reach: reconcile.Unknown, why: err.Error()}
	}
	defer s.close()
	f, why, err := read(ctx, s)
	switch {
	case err != nil:
		return sight{reach: reconcile.Unknown, why: s.why(err, timeout)}
	case why != "":
		return sight{reach: reconcile.Unknown, why: why}
	}
	return sight{reach: reconcile.Up, info: f}
}

// wrongKind says what answers instead of a server of the wanted redis_mode
// (standalone, sentinel or cluster), "" when it is the right one.
func wrongKind(f info, want string) string {
	mode := f["redis_mode"]
	switch {
	case mode == want:
		return ""
	case mode == "" || f["redis_version"] == "":
		return "it answers INFO, but not as Redis does"
	case mode == "sentinel":
		return "a Sentinel answers where the spec has a redis-server"
	case mode == "cluster":
		return "it runs in Redis Cluster mode, which Sentinel cannot watch"
	}
	return "a redis-server answers where the spec has a Sentinel"
}
