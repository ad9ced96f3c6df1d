package layers

import (
	"fmt"
	"slices"
	"strings"
)

// layers, lowest first. A package imports only lower layers, so packages of one
// layer (siblings) never import each other. "x/" stands for every package under x.
var layers = [][]string{
	{"internal/expr", "internal/fill"},
	{"schema", "internal/"},
	{"reconcile"},
	{"reconcile/observe", "reconcile/execute", "reconcile/host", "reconcile/source", "reconcile/window"},
	{"runtime/bus", "runtime/proxy/follow", "runtime/proxy/command", "runtime/controller/ledger", "runtime/worker/queue", "runtime/worker/alert"},
	{"runtime/proxy/relay", "runtime/controller/lease", "runtime/controller/hook", "runtime/controller/notify", "runtime/worker/handler", "runtime/worker/dispatch"},
	{"runtime/"},
	{"cmd/rsm", "examples/"},
}

// homes are the only packages that may import an outside library.
var homes = map[string][]string{
	"cuelang.org/go":              {"schema"},
	"github.com/ProtonMail":       {"reconcile/source"},
	"github.com/go-git/go-git":    {"reconcile/source"},
	"cel.dev/cel-go":              {"internal/expr"},
	"github.com/netresearch":      {"schema", "reconcile/window", "runtime/worker/"},
	"github.com/prometheus":       {"runtime/", "cmd/rsm"},
	"github.com/redis/go-redis":   {"reconcile/observe", "reconcile/execute", "runtime/"},
	"github.com/shirou/gopsutil":  {"runtime/agent"},
	"github.com/urfave/cli":       {"cmd/rsm"},
	"github.com/wneessen/go-mail": {"runtime/worker/handler"},
	"golang.org/x":                {"internal/", "reconcile/host", "reconcile/source", "runtime/", "cmd/rsm"},
}

// testOnly are imported by tests alone; they may use the rest of their layer.
var testOnly = []string{"internal/redistest", "github.com/rogpeppe/go-internal", "go.yaml.in/yaml", "github.com/emersion"}

// impure is what package reconcile must not import: it decides, others do. The
// prefix counts, so os/exec and log/slog are meant, too.
var impure = []string{"net", "os", "log", "syscall", "math/rand", "crypto/rand"}

// graph is who imports whom: import paths without the module's own "rsm/".
type graph map[string][]string

// violations lists every import that breaks a rule, in order.
func (g graph) violations() []string {
	var found []string
	for from, imports := range g {
		if layerOf(from) < 0 {
			found = append(found, from+" is in no layer: add it to the table")
		}
		for _, to := range imports {
			if why := forbidden(from, to, g); why != "" {
				found = append(found, fmt.Sprintf("%s imports %s: %s", from, to, why))
			}
		}
	}
	slices.Sort(found)
	return found
}

// forbidden says why from must not import to, "" when it may.
func forbidden(from, to string, g graph) string {
	supports := slices.Contains(testOnly, from)
	switch _, own := g[to]; {
	case slices.ContainsFunc(testOnly, func(p string) bool { return under(to, p) }):
		return "only tests may"
	case own && supports && layerOf(to) == layerOf(from):
		return ""
	case own && layerOf(to) == layerOf(from):
		return "siblings do not know each other"
	case own && layerOf(to) > layerOf(from):
		return "it is in a higher layer"
	case own:
		return ""
	}
	if from == "reconcile" && slices.ContainsFunc(impure, func(p string) bool { return under(to, p) }) {
		return "package reconcile is pure"
	}
	if first, _, _ := strings.Cut(to, "/"); !strings.Contains(first, ".") {
		return "" // the standard library
	}
	for library, allowed := range homes {
		if under(to, library) {
			if slices.ContainsFunc(allowed, func(home string) bool { return matches(from, home) }) {
				return ""
			}
			return "its home is " + strings.Join(allowed, ", ")
		}
	}
	return "this library has no home: add it to the table"
}

func layerOf(path string) int {
	return slices.IndexFunc(layers, func(layer []string) bool {
		return slices.ContainsFunc(layer, func(pattern string) bool { return matches(path, pattern) })
	})
}

func matches(path, pattern string) bool {
	if folder, ok := strings.CutSuffix(pattern, "/"); ok {
		return under(path, folder) && path != folder
	}
	return path == pattern
}

// under reports whether path is the folder or in it.
func under(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, folder+"/")
}
