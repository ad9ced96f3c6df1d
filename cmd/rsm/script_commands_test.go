package main

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"rsm/internal/resp"
)

// scriptCommands are the verbs of the scripts, on top of testscript's own:
//
//	rsm [CODE] ARGS...      run rsm, want this exit code (default 0)
//	up [SPEC]               apply the spec and wait until all is synced
//	until CODE ARGS...      run rsm again and again until it exits so
//	start JOB ARGS...       run rsm in the background
//	says JOB REGEXP         wait until its output matches
//	end JOB SIGNAL CODE     send it the signal (0: none), want the exit code
//	hup JOB                 send it SIGHUP
//	edit FILE OLD NEW       replace text, once, with ports expanded
//	has FILE REGEXP         wait until the file matches; with ! it must not now
//	crash NODE...           SIGKILL
//	freeze, thaw NODE...    SIGSTOP, SIGCONT; of a JOB, too
//	foreign NODE ARGS...    run a redis-server on the node's port that rsm knows nothing of
//	running, stopped NODE.. whether something listens on the port, at once
//	pids NODE...            print the processes behind the nodes
//	redis NODE ARGS...      send a command, print the reply; with ! want an error reply
//	listen NODE             run another program on the node's port
//	client NODE             hold an idle connection
//	connected NODE          the last one of the node still serves
//	knock NODE              connect to it again and again
//	knocked NODE            end that; nobody was refused
//	build VERSION           the next rsm is one of another version
//	reborn NODE             start the node again with the configuration that it has
//	blank SENTINEL...       SENTINEL REMOVE
//	write N [PREFIX]        write N keys to the master that the Sentinels name
//	keys NODE N             wait until the node has that many keys
//	field NODE FIELD REGEXP wait until the field of INFO or SENTINEL MASTER matches
//	master NODE             wait until the Sentinels and the node agree that it leads
//	replaced NODE           wait until another leads; sets $MASTER and $REPLICA
//	synced [NODE...]        wait until all agree, all links are up, all have the same keys
//	mark, untouched NODE... nothing was changed between the two, by anybody
//	nosecret TEXT           no output, log, record, plan or command line has the text
//	load, loaded            write to the master meanwhile; every acknowledged write is still there
//	repo FILE...            a bare repository repo.git, and a clone of it with these files
//	push MESSAGE            commit all that changed in the clone, and push it
//	forge [TOKEN]           serve the repositories at $FORGE to who has the token; without one no longer
//	http CODE METHOD URL [TOKEN [BODY]]  ask over HTTP, want this status
//	sshd NODE               serve the repositories at $SSH to who has the key in the file client
//	kill-masters N SPEC     kill the master N times while a watcher heals
func scriptCommands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"rsm": cmdRSM, "up": cmdUp, "until": cmdUntil, "start": cmdStart, "says": cmdSays, "end": cmdEnd, "hup": cmdHup, "edit": cmdEdit, "has": cmdHas,
		"crash": signals(syscall.SIGKILL), "freeze": signals(syscall.SIGSTOP), "thaw": signals(syscall.SIGCONT),
		"foreign": cmdForeign, "reborn": cmdReborn, "listen": cmdListen, "client": cmdClient, "connected": cmdConnected, "knock": cmdKnock, "knocked": cmdKnocked, "build": cmdBuild, "running": cmdRunning, "stopped": cmdStopped, "pids": cmdPids, "redis": cmdRedis, "blank": cmdBlank,
		"write": cmdWrite, "keys": cmdKeys, "field": cmdField, "master": cmdMaster, "replaced": cmdReplaced, "synced": cmdSynced,
		"mark": cmdMark, "untouched": cmdUntouched, "nosecret": cmdNoSecret, "load": cmdLoad, "loaded": cmdLoaded, "kill-masters": cmdKillMasters,
		"repo": cmdRepo, "push": cmdPush, "forge": cmdForge, "http": cmdHTTP, "sshd": cmdSSHD,
	}
}

// lab is what one script works with.
type lab struct {
	bin     string // the directory of rsm
	work    string
	ports   map[string]int
	foreign map[string]*os.Process // by the node whose port they took
	jobs    map[string]*job
	clients map[string]*resp.Conn // by node
	knocks  map[string]*knocker   // by node
	marks   map[string]string
	load    *load
	forge   *httptest.Server
	out     *transcript // all that rsm has said
}

type labKey struct{}

func labOf(ts *testscript.TestScript) *lab { return ts.Value(labKey{}).(*lab) }

// transcript is a buffer that may be written to and read at the same time.
type transcript struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *transcript) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *transcript) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// job is an rsm that runs in the background.
type job struct {
	cmd *exec.Cmd
	out transcript
}

func args(ts *testscript.TestScript, neg bool, ok bool, how string) {
	if neg || !ok {
		ts.Fatalf("usage: %s", how)
	}
}

func cmdRSM(ts *testscript.TestScript, neg bool, words []string) {
	args(ts, neg, len(words) > 0, "rsm [CODE] ARGS...")
	want := 0
	if code, err := strconv.Atoi(words[0]); err == nil {
		want, words = code, words[1:]
	}
	if got := runRSM(ts, words); got != want {
		ts.Fatalf("rsm %s: exit %d, want %d", strings.Join(words, " "), got, want)
	}
}

func runRSM(ts *testscript.TestScript, words []string) int {
	err := ts.Exec("rsm", words...)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		ts.Fatalf("rsm: %v", err)
	}
	_, _ = labOf(ts).out.Write([]byte(ts.ReadFile("stdout") + ts.ReadFile("stderr")))
	if exit != nil {
		return exit.ExitCode()
	}
	return 0
}

func cmdUp(ts *testscript.TestScript, neg bool, words []string) {
	args(ts, neg, len(words) <= 1, "up [SPEC]")
	spec := append(words, "lain.cue")[0]
	if code := runRSM(ts, []string{"apply", "--auto-approve", spec}); code != 0 {
		ts.Fatalf("rsm apply %s: exit %d", spec, code)
	}
}

func cmdUntil(ts *testscript.TestScript, neg bool, words []string) {
	args(ts, neg, len(words) > 1, "until CODE ARGS...")
	until(ts, func() error {
		if got := runRSM(ts, words[1:]); strconv.Itoa(got) != words[0] {
			time.Sleep(100 * time.Millisecond) // rsm costs more than what until waits between
			return fmt.Errorf("rsm %s: exit %d, want %s", strings.Join(words[1:], " "), got, words[0])
		}
		return nil
	})
}

func cmdStart(ts *testscript.TestScript, neg bool, words []string) {
	args(ts, neg, len(words) > 1, "start JOB ARGS...")
	path := lookup(ts, "rsm")
	j := &job{cmd: exec.Command(path, words[1:]...)}
	j.cmd.Dir, j.cmd.Env = ts.MkAbs("."), environ(ts)
	j.cmd.Stdout, j.cmd.Stderr = &j.out, &j.out
	ts.Check(j.cmd.Start())
	labOf(ts).jobs[words[0]] = j
}

// lookup finds a command on the script's PATH.
func lookup(ts *testscript.TestScript, name string) string {
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode()&0o111 != 0 {
			return path
		}
	}
	ts.Fatalf("%s is not on PATH", name)
	return ""
}

// environ is the part of the script's environment that rsm and servers look at.
func environ(ts *testscript.TestScript) []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "RSM_STATE_DIR", "NO_COLOR", "LAIN_PASSWORD", "RSM_GIT_TOKEN", "RSM_TOKEN", "GORACE", "GOCOVERDIR"} {
		if value := ts.Getenv(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	return env
}

func (l *lab) job(ts *testscript.TestScript, name string) *job {
	if l.jobs[name] == nil {
		ts.Fatalf("no job %s was started", name)
	}
	return l.jobs[name]
}

func cmdSays(ts *testscript.TestScript, neg bool, words []string) {
	args(ts, neg, len(words) == 2, "says JOB REGEXP")
	j, re := labOf(ts).job(ts, words[0]), regexp.MustCompile("(?m)"+words[1])
	until(ts, func() error {
		if text := j.out.String(); !re.MatchString(text) {
			return fmt.Errorf("%s does not say %q but\n%s", words[0], words[1], text)
		}
		return nil
	})
}

func cmdEnd(ts *testscript.TestScript, neg bool, words []string) {
	args(ts, neg, len(words) == 3, "end JOB SIGNAL CODE")
	j := labOf(ts).job(ts, words[0])
	if sig := map[string]os.Signal{"INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP, "KILL": syscall.SIGKILL}[words[1]]; sig != nil {
		ts.Check(j.cmd.Process.Signal(sig))
	}
	_ = j.cmd.Wait()
	fmt.Fprint(ts.Stdout(), j.out.String())
	_, _ = labOf(ts).out.Write([]byte(j.out.String()))
	if got := strconv.Itoa(j.cmd.ProcessState.ExitCode()); got != words[2] {
		ts.Fatalf("%s: exit %s, want %s\n%s", words[0], got, words[2], j.out.String())
	}
}

func cmdHup(ts *testscript.TestScript, neg bool, words []string) {
	args(ts, neg, len(words) == 1, "hup JOB")
	ts.Check(labOf(ts).job(ts, words[0]).cmd.Process.Signal(syscall.SIGHUP))
}

func cmdEdit(ts *testscript.TestScript, neg bool, words []string) {
	args(ts, neg, len(words) == 3, "edit FILE OLD NEW")
	l, path := labOf(ts), ts.MkAbs(words[0])
	old, text := l.expand(words[1]), ts.ReadFile(words[0])
	if strings.Count(text, old) != 1 {
		ts.Fatalf("%s has %q %d times, want once:\n%s", words[0], old, strings.Count(text, old), text)
	}
	ts.Check(os.WriteFile(path, []byte(strings.Replace(text, old, l.expand(words[2]), 1)), 0o600))
}
