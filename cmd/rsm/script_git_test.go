package main

import (
	"io"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdRepo makes a bare repository repo.git and a clone of it, with one commit of
// the files.
func cmdRepo(ts *testscript.TestScript, neg bool, files []string) {
	args(ts, neg, len(files) > 0, "repo FILE...")
	git(ts, ".", "init", "-q", "--bare", "-b", "main", "repo.git")
	git(ts, ".", "init", "-q", "-b", "main", "clone")
	git(ts, "clone", "remote", "add", "origin", ts.MkAbs("repo.git"))
	for _, name := range files {
		ts.Check(os.WriteFile(filepath.Join(ts.MkAbs("clone"), name), []byte(ts.ReadFile(name)), 0o600))
	}
	push(ts, "the first one")
}

// cmdPush commits all that has changed in the clone, and pushes it.
func cmdPush(ts *testscript.TestScript, neg bool, words []string) {
	args(ts, neg, len(words) == 1, "push MESSAGE")
	push(ts, words[0])
}

func push(ts *testscript.TestScript, message string) {
	git(ts, "clone", "add", "-A")
	git(ts, "clone", "commit", "-q", "-m", message)
	git(ts, "clone", "push", "-q", "--force", "origin", "main")
}

// cmdForge serves the repositories of the script over http, to who has the token;
// sets $FORGE. Without a token it serves no longer.
func cmdForge(ts *testscript.TestScript, neg bool, words []string) {
	args(ts, neg, len(words) <= 1, "forge [TOKEN]")
	l := labOf(ts)
	if l.forge != nil {
		l.forge.CloseClientConnections()
		l.forge.Close()
		l.forge = nil
	}
	if len(words) == 0 {
		return
	}
	path, err := exec.LookPath("git")
	ts.Check(err)
	backend := &cgi.Handler{Path: path, Args: []string{"http-backend"}, Dir: l.work, Stderr: io.Discard,
		Env: []string{"GIT_PROJECT_ROOT=" + l.work, "GIT_HTTP_EXPORT_ALL=1", "HOME=" + l.work}}
	l.forge = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, token, _ := r.BasicAuth(); token != words[0] {
			w.Header().Set("WWW-Authenticate", "Basic")
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(w, r)
	}))
	ts.Setenv("FORGE", l.forge.URL)
	ts.Defer(l.forge.Close)
}

// git runs a command of git as nobody in particular.
func git(ts *testscript.TestScript, dir string, words ...string) {
	cmd := exec.Command("git", append([]string{"-C", ts.MkAbs(dir), "-c", "user.name=somebody", "-c", "user.email=somebody@localhost"}, words...)...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	if out, err := cmd.CombinedOutput(); err != nil {
		ts.Fatalf("git %q: %v\n%s", words, err, out)
	}
}
