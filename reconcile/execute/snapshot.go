package execute

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"rsm/reconcile"
)

// saveInterval is how often a save under way is asked about.
const saveInterval = 50 * time.Millisecond

// snapshot saves the data set and keeps a copy of the file, named by its history
// and the second of the save. Nobody may have written since the save began: a
// copy must be all that is there.
func (e *Executor) snapshot(ctx context.Context, a reconcile.Snapshot) error {
	s, err := e.open(ctx, a.Role.Addr, false)
	if err != nil {
		return err
	}
	defer s.close()
	if _, err := s.unchanged(ctx, a); err != nil {
		return err
	}
	if err := s.save(ctx); err != nil {
		return fmt.Errorf("save %s: %w", a.Role.Name, err)
	}
	saved, err := s.unwritten(ctx, a)
	if err != nil {
		return err
	}
	path, err := s.dumpPath(ctx)
	if err != nil {
		return err
	}
	if _, err := e.Host.Keep(a.Role, path, a.ReplID, saved); err != nil {
		return fmt.Errorf("keep %s: %w", path, err)
	}
	return nil
}

// unwritten returns the second of the save, or an error when clients wrote since
// it began. The offset does not show that: it moves with every PING and PUBLISH,
// also of Sentinel, and stands still on a server that never had a replica
// (replicationFeedSlaves in Redis 7.0).
func (s *session) unwritten(ctx context.Context, a reconcile.Snapshot) (saved int64, err error) {
	f, err := s.unchanged(ctx, a)
	if err != nil {
		return 0, err
	}
	if n := f["rdb_changes_since_last_save"]; n != "0" {
		return 0, fmt.Errorf("snapshot %s: %s changes since it was taken: clients still write to it", a.Role.Name, n)
	}
	return strconv.ParseInt(f["rdb_last_save_time"], 10, 64)
}

// unchanged returns INFO, or an error when the data set is of another history than
// the plan saw.
func (s *session) unchanged(ctx context.Context, a reconcile.Snapshot) (map[string]string, error) {
	f, err := s.info(ctx)
	if err != nil {
		return nil, err
	}
	if have := f["master_replid"]; have != a.ReplID {
		return nil, fmt.Errorf("snapshot %s: its data set is of history %s now, not %s", a.Role.Name, have, a.ReplID)
	}
	return f, nil
}

// save runs one BGSAVE from start to end. One that is under way is waited for
// first: it may be older than the data set.
func (s *session) save(ctx context.Context) error {
	if err := s.await(ctx, func(f map[string]string) (bool, error) {
		return f["rdb_bgsave_in_progress"] == "0" && f["loading"] == "0", nil
	}); err != nil {
		return err
	}
	last, err := s.newSecond(ctx)
	if err != nil {
		return err
	}
	// SCHEDULE: during an AOF rewrite it is put off rather than refused.
	reply, err := s.call(ctx, "BGSAVE", "SCHEDULE")
	if err != nil {
		return err
	}
	text, _ := reply.(string)
	started := strings.Contains(text, "started")
	return s.await(ctx, func(f map[string]string) (bool, error) {
		if f["rdb_bgsave_in_progress"] != "0" {
			return false, nil
		}
		if saved, _ := strconv.ParseInt(f["rdb_last_save_time"], 10, 64); saved > last {
			return true, nil
		}
		if started { // it has ended, and saved nothing: an error, or killed by a FLUSHALL
			return false, fmt.Errorf("BGSAVE: it saved nothing (status %q), the server's log says why", f["rdb_last_bgsave_status"])
		}
		return false, nil // put off
	})
}

// newSecond waits until the server's clock is past the second of its last save,
// and returns that second: LASTSAVE counts whole ones, so that a save in the same
// second would not show.
func (s *session) newSecond(ctx context.Context) (int64, error) {
	reply, err := s.call(ctx, "LASTSAVE")
	if err != nil {
		return 0, err
	}
	last, _ := reply.(int64)
	for {
		reply, err := s.call(ctx, "TIME")
		if err != nil {
			return 0, err
		}
		if now, _ := strconv.ParseInt(first(reply), 10, 64); now > last {
			return last, nil
		}
		if err := pause(ctx); err != nil {
			return 0, err
		}
	}
}

// await asks INFO until done says yes.
func (s *session) await(ctx context.Context, done func(map[string]string) (bool, error)) error {
	for {
		f, err := s.info(ctx)
		if err != nil {
			return err
		}
		if ok, err := done(f); ok || err != nil {
			return err
		}
		if err := pause(ctx); err != nil {
			return fmt.Errorf("wait for a background save: %w", err)
		}
	}
}

func pause(ctx context.Context) error {
	timer := time.NewTimer(saveInterval)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// info returns the fields of INFO.
func (s *session) info(ctx context.Context) (map[string]string, error) {
	reply, err := s.call(ctx, "INFO")
	if err != nil {
		return nil, err
	}
	text, _ := reply.(string)
	fields := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ":"); ok {
			fields[name] = value
		}
	}
	return fields, nil
}

// dumpPath is where the server writes its RDB file.
func (s *session) dumpPath(ctx context.Context) (string, error) {
	parts := make([]string, 0, 2)
	for _, key := range []string{"dir", "dbfilename"} {
		reply, err := s.call(ctx, "CONFIG", "GET", key)
		if err != nil {
			return "", err
		}
		pair, _ := reply.([]any)
		if len(pair) != 2 {
			return "", fmt.Errorf("%s: CONFIG GET %s: the server does not show it", s.addr, key)
		}
		value, _ := pair[1].(string)
		parts = append(parts, value)
	}
	return filepath.Join(parts...), nil
}

// first returns the first word of a list reply.
func first(reply any) string {
	list, _ := reply.([]any)
	if len(list) == 0 {
		return ""
	}
	text, _ := list[0].(string)
	return text
}
