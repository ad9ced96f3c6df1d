package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rsm/internal/redistest"
	"rsm/runtime/controller/hook"
)

// hookLab is a bare repository, a clone of it, and a service that counts.
type hookLab struct {
	t                       *testing.T
	rsm, repo, clone, token string
	asked                   atomic.Int64
	server                  *httptest.Server
	blocked                 sync.RWMutex // while it is locked, the service does not answer
}

func newHookLab(t *testing.T) *hookLab {
	t.Helper()
	dir := t.TempDir()
	l := &hookLab{t: t, rsm: filepath.Join(buildRSM(t), "rsm"), repo: filepath.Join(dir, "it's specs.git"), clone: filepath.Join(dir, "clone"), token: filepath.Join(dir, "token")}
	if err := os.WriteFile(l.token, []byte("A9-very-secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	secret := func() (string, error) { return "A9-very-secret", nil }
	receiver, err := hook.New(hook.Config{Branch: "main", Secrets: []func() (string, error){secret}, Ask: func() { l.asked.Add(1) }})
	if err != nil {
		t.Fatal(err)
	}
	l.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.blocked.RLock()
		defer l.blocked.RUnlock()
		receiver.ServeHTTP(w, r)
	}))
	t.Cleanup(l.server.Close)
	l.git("", "init", "-q", "--bare", "-b", "main", l.repo)
	l.git("", "clone", "-q", l.repo, l.clone)
	l.git(l.clone, "checkout", "-q", "-b", "main")
	return l
}

func (l *hookLab) git(dir string, args ...string) {
	l.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com")
	if out, err := cmd.CombinedOutput(); err != nil {
		l.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// push commits to the branch and pushes it.
func (l *hookLab) push(branch string) {
	l.t.Helper()
	l.git(l.clone, "checkout", "-q", "-B", branch)
	l.git(l.clone, "commit", "-q", "--allow-empty", "-m", "change")
	l.git(l.clone, "push", "-q", "origin", branch)
}

// run runs rsm and wants an exit code; it returns what was said.
func (l *hookLab) run(code int, stdin string, args ...string) string {
	l.t.Helper()
	cmd := exec.Command(l.rsm, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, _ := cmd.CombinedOutput()
	if got := cmd.ProcessState.ExitCode(); got != code {
		l.t.Errorf("rsm %s: exit %d, want %d\n%s", strings.Join(args, " "), got, code, out)
	}
	if bytes.Contains(out, []byte("A9-very")) {
		l.t.Errorf("rsm %s tells the secret:\n%s", strings.Join(args, " "), out)
	}
	return string(out)
}

func (l *hookLab) install(code int, args ...string) string {
	l.t.Helper()
	return l.run(code, "", append([]string{"hook", "install", l.repo, "--url", l.server.URL + "/hook", "--secret-file", l.token}, args...)...)
}

// logged waits until the hook has said something that contains the text.
func (l *hookLab) logged(text string) {
	l.t.Helper()
	redistest.Wait(l.t, patience, func() error {
		said, _ := os.ReadFile(filepath.Join(l.repo, "rsm-hook.log"))
		if !strings.Contains(string(said), text) {
			return fmt.Errorf("the hook says %q, want %q", said, text)
		}
		return nil
	})
}

// TestHookPush: a push to the branch asks the service, whatever else happens it
// only pushes.
func TestHookPush(t *testing.T) {
	t.Parallel()
	l := newHookLab(t)
	l.install(0)
	l.push("main")
	redistest.Wait(t, patience, redistest.Want("asked", 1, l.asked.Load))
	l.logged("told " + l.server.URL + "/hook: asked")
	l.push("dev")
	l.logged("nothing was pushed to main")

	if err := os.WriteFile(l.token, []byte("A9-very-wrong\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l.push("main")
	l.logged("401 Unauthorized: the signature does not match")

	// A service that hangs delays nobody.
	l.blocked.Lock()
	start := time.Now()
	l.push("main")
	if took := time.Since(start); took >= notifyTime {
		t.Errorf("a push took %s", took)
	}
	l.blocked.Unlock()
	l.logged("401")
	l.server.Close()
	l.push("main")
	l.logged("connection refused")
	if n := l.asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func TestHookInstall(t *testing.T) {
	t.Parallel()
	l := newHookLab(t)
	path := filepath.Join(l.repo, "hooks", "post-receive")
	if said := l.install(0); !strings.Contains(said, "Wrote "+path) {
		t.Errorf("said %s", said)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("%v, %v", info, err)
	}
	if said := l.install(0); !strings.Contains(said, "there already") {
		t.Errorf("said %s", said)
	}
	if said := l.install(0, "--branch", "prod"); !strings.Contains(said, "Wrote") {
		t.Errorf("said %s", said)
	}
	if text, _ := os.ReadFile(path); !strings.Contains(string(text), "'--branch' 'prod'") || strings.Contains(string(text), "A9") {
		t.Errorf("%s", text)
	}

	foreign := "#!/bin/sh\necho mine\n"
	if err := os.WriteFile(path, []byte(foreign), 0o755); err != nil {
		t.Fatal(err)
	}
	if said := l.install(4); !strings.Contains(said, "hook' 'notify'") || !strings.Contains(said, "refs=$(cat)") {
		t.Errorf("said %s", said)
	}
	if text, _ := os.ReadFile(path); string(text) != foreign {
		t.Errorf("it was changed: %s", text)
	}
	l.run(64, "", "hook")
	l.run(64, "", "hook", "install", "--url", "http://h/", "--secret-file", l.token)
	l.run(64, "", "hook", "install", l.repo, "--url", "http://user:pw@h/", "--secret-file", l.token)
	l.run(64, "", "hook", "install", l.repo, "--url", "h:80", "--secret-file", l.token)
	l.run(64, "", "hook", "install", l.clone+"/.git", "--url", "http://h/", "--secret-file", l.token)
	l.run(1, "", "hook", "install", l.clone+"/nothing", "--url", "http://h/", "--secret-file", l.token)
	l.run(1, "", "hook", "install", l.repo, "--url", "http://h/", "--secret-file", l.token+".none")
	l.git(l.repo, "config", "core.hooksPath", "/nowhere")
	l.install(4)
}

func TestHookNotify(t *testing.T) {
	t.Parallel()
	l := newHookLab(t)
	const line = "0000000000000000000000000000000000000000 bffeb74224043ba2feb48d137756c8a9331c449a refs/heads/%s\n"
	notify := func(code int, stdin string, more ...string) string {
		return l.run(code, stdin, append([]string{"hook", "notify", "--url", l.server.URL, "--secret-file", l.token}, more...)...)
	}
	for _, tt := range []struct {
		stdin, want string
		more        []string
		asked       int64
	}{
		{fmt.Sprintf(line, "main"), ": asked\n", nil, 1},
		{fmt.Sprintf(line+line, "dev", "main"), ": asked\n", []string{"--branch", "main"}, 2},
		{fmt.Sprintf(line, "dev"), ": ignored: not the branch main\n", nil, 2},
		{fmt.Sprintf(line, "dev"), "nothing was pushed to main\n", []string{"--branch", "main"}, 2},
		{"", ": asked\n", nil, 3},
		{strings.Repeat(fmt.Sprintf(line, "dev"), maxRefs+1), ": asked\n", []string{"--branch", "main"}, 4},
	} {
		if said := notify(0, tt.stdin, tt.more...); !strings.HasSuffix(said, tt.want) || strings.Count(said, "\n") != 1 || l.asked.Load() != tt.asked {
			t.Errorf("%.60q %q: said %q, asked %d; want %q, %d", tt.stdin, tt.more, said, l.asked.Load(), tt.want, tt.asked)
		}
	}
	notify(64, "", "more")
	l.server.Close()
	if said := notify(1, ""); !strings.Contains(said, "connection refused") || strings.Count(said, "\n") != 1 {
		t.Errorf("said %q", said)
	}
}
