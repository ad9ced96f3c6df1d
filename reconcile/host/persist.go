package host

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"rsm/reconcile"
)

// loadable returns the directives of the spec, changed where they would make
// Redis start without the data set that is on disk.
//
// Redis 7 looks for its data only where appendonly says: with yes it starts
// empty when there is an RDB file and no AOF, with no it ignores the AOF; the
// next save then overwrites what was not loaded. So a role with data starts with
// the appendonly it had, and the spec's value is set on the running server,
// which is safe. File names cannot change on a running server: other names than
// the data has are refused.
func (h *Host) loadable(a reconcile.StartRole) (map[string]string, error) {
	if h.data(a.Role) == reconcile.No {
		return a.Config, nil
	}
	text, err := os.ReadFile(h.confPath(a.Role))
	known := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read config: %w", err)
	}
	before := parseConf(text)
	for key, usual := range map[string]string{"dbfilename": "dump.rdb", "appendfilename": "appendonly.aof", "appenddirname": "appendonlydir"} {
		have, want := lastValue(before, key, usual), usual
		if value, ok := a.Config[key]; ok {
			want = value
		}
		if known && have != want {
			return nil, fmt.Errorf("its data is on disk under %s %s, and would not be loaded with %s", key, have, want)
		}
	}
	aof, have := h.hasAOF(a.Role), "no"
	if aof && (!known || lastValue(before, "appendonly", "no") == "yes") {
		have = "yes"
	}
	config := maps.Clone(a.Config)
	if config == nil {
		config = map[string]string{}
	}
	if !strings.EqualFold(config["appendonly"], have) {
		h.log().Info("start with the appendonly that the data has", "role", a.Role.Name, "appendonly", have)
	}
	config["appendonly"] = have
	return config, nil
}

// lastValue returns the value of a directive; of several lines the last counts.
func lastValue(lines []confLine, key, usual string) string {
	for _, line := range lines {
		if line.key == key && len(line.args) > 0 {
			usual = line.args[0]
		}
	}
	return usual
}

func (h *Host) hasAOF(ref reconcile.RoleRef) bool {
	found := false
	_ = filepath.WalkDir(h.roleDir(ref, "data"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !entry.IsDir() && (strings.HasSuffix(path, ".aof") || strings.HasSuffix(path, ".manifest")) {
			found = true
			return fs.SkipAll
		}
		return nil
	})
	return found
}
