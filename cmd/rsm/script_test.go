package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"rsm/internal/redistest"
	"rsm/internal/resp"
)

// concurrent is how many scripts run at a time. They mostly wait for Sentinel,
// so there may be more of them than processors.
const concurrent = "6"

func TestMain(m *testing.M) {
	flag.Parse()
	if !given("test.parallel") {
		_ = flag.Set("test.parallel", concurrent)
	}
	os.Exit(m.Run())
}

func given(name string) (yes bool) {
	flag.Visit(func(f *flag.Flag) { yes = yes || f.Name == name })
	return yes
}

// TestScripts runs the scripts of testdata/script against the rsm binary and
// real servers. docs of the commands: script_commands_test.go.
func TestScripts(t *testing.T) {
	t.Parallel()
	bin := buildRSM(t)
	scripts, err := filepath.Glob(filepath.Join("..", "..", "testdata", "script", "*.txtar"))
	if err != nil || len(scripts) == 0 {
		t.Fatalf("%d scripts, %v", len(scripts), err)
	}
	slices.Reverse(scripts) // the long ones are the last by name: they begin first
	testscript.Run(t, testscript.Params{
		Files:              scripts,
		Cmds:               scriptCommands(),
		Setup:              func(env *testscript.Env) error { return setup(env, bin) },
		RequireUniqueNames: true,
	})
}

// scriptVersion is the version of the scripts' rsm: a text that is nowhere else
// in the binary, as long as any that the command build puts in its place.
const scriptVersion = "v1.0.0-script"

// buildRSM builds the binary that the scripts run, with the race detector if
// the tests have it. It returns the directory for PATH.
func buildRSM(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	args := []string{"build", "-ldflags", "-X main.version=" + scriptVersion, "-o", filepath.Join(dir, "rsm")}
	if raceEnabled {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, ".")...).CombinedOutput(); err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return dir
}

// roleNames are the servers that a script can name; each has a port of its own,
// in a variable of the same name in upper case. f1 and f2 are for foreign ones,
// p1, p2 and p3 for proxies.
var roleNames = strings.Fields("r1 r2 r3 r4 s1 s2 s3 s4 s5 f1 f2 p1 p2 p3 a1 a2 a3 a4")

// lainCUE is what a script gets as lain.cue when it brings no file of that name.
const lainCUE = `package lain

clusters: lain: {
	redis: {
		nodes: {
			r1: port: $R1
			r2: port: $R2
			r3: port: $R3
		}
		config: {
			appendonly:                 true
			"repl-diskless-sync-delay": 0
		}
		seed: "r1"
	}
	sentinel: {
		nodes: {
			s1: port: $S1
			s2: port: $S2
			s3: port: $S3
		}
		downAfter:       "2s"
		failoverTimeout: "3s"
	}
}
`

// setup gives a script its ports, its state directory and its spec, and takes
// care that nothing it starts is left.
func setup(env *testscript.Env, bin string) error {
	t := env.T().(testing.TB)
	l := &lab{bin: bin, work: env.WorkDir, ports: map[string]int{}, foreign: map[string]*os.Process{}, jobs: map[string]*job{}, clients: map[string]*resp.Conn{}, knocks: map[string]*knocker{}, out: &transcript{}}
	for i, port := range redistest.Ports(t, len(roleNames)) {
		l.ports[roleNames[i]] = port
		env.Setenv(strings.ToUpper(roleNames[i]), fmt.Sprint(port))
	}
	env.Setenv("PATH", bin+string(os.PathListSeparator)+env.Getenv("PATH"))
	env.Setenv("RSM_STATE_DIR", filepath.Join(env.WorkDir, "state"))
	env.Setenv("NO_COLOR", "1")
	env.Setenv("GORACE", "atexit_sleep_ms=0") // else every rsm sleeps for a second at its end
	env.Values[labKey{}] = l
	env.Defer(l.clean)
	return l.writeSpecs()
}

// writeSpecs puts the ports into every CUE file, and adds lain.cue.
func (l *lab) writeSpecs() error {
	path := filepath.Join(l.work, "lain.cue")
	if _, err := os.Stat(path); os.IsNotExist(err) {
		if err := os.WriteFile(path, []byte(lainCUE), 0o600); err != nil {
			return err
		}
	}
	return filepath.WalkDir(l.work, func(path string, _ os.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".cue" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(path, []byte(l.expand(string(text))), 0o600)
	})
}

// expand replaces $R1 and the like; any other $ stays.
func (l *lab) expand(text string) string {
	for _, name := range roleNames {
		text = strings.ReplaceAll(text, "$"+strings.ToUpper(name), fmt.Sprint(l.ports[name]))
	}
	return text
}

// patience is how long anything may take that a script waits for.
const patience = 45 * time.Second

// until calls cond until it returns nil, at most for patience.
func until(ts *testscript.TestScript, cond func() error) {
	deadline := time.Now().Add(patience)
	for {
		err := cond()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("after %s: %v", patience, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
