package source

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// world is a bare repository, a working tree that commits to it, and ways to
// reach it.
type world struct {
	testing.TB
	dir, bare, work string
	env             []string
}

func newWorld(t testing.TB) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{TB: t, dir: dir, bare: filepath.Join(dir, "spec.git"), work: filepath.Join(dir, "work")}
	w.env = append(os.Environ(), "HOME="+dir, "GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com",
		"GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com", "GNUPGHOME="+filepath.Join(dir, "gnupg"))
	w.run("", "git", "init", "-q", "--bare", "-b", "main", w.bare)
	w.run("", "git", "init", "-q", "-b", "main", w.work)
	w.git("remote", "add", "origin", w.bare)
	w.git("config", "http.receivepack", "true")
	return w
}

// run runs a program and returns what it printed.
func (w *world) run(dir, name string, args ...string) string {
	w.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = dir, w.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// git runs git in the working tree.
func (w *world) git(args ...string) string {
	w.Helper()
	return w.run(w.work, "git", args...)
}

func (w *world) write(name, text string) {
	w.Helper()
	path := filepath.Join(w.work, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		w.Fatal(err)
	}
}

// commit writes a file and commits it, and returns the commit.
func (w *world) commit(name, text string, flags ...string) string {
	w.Helper()
	w.write(name, text)
	w.git("add", "-A")
	w.git(append([]string{"commit", "-q", "--allow-empty", "-m", "write " + name}, flags...)...)
	return w.git("rev-parse", "HEAD")
}

// many makes commits quickly, one file each, and returns the last one.
func (w *world) many(n int, message string) string {
	w.Helper()
	var b strings.Builder
	from := "refs/heads/main^0"
	for i := range n {
		fmt.Fprintf(&b, "commit refs/heads/main\ncommitter Ada <ada@example.com> %d +0000\ndata %d\n%s", 1_700_000_000+i, len(message), message)
		if i == 0 {
			fmt.Fprintf(&b, "\nfrom %s", from)
		}
		text := fmt.Sprintf("package deploy\n// %s %d\n", message, i)
		fmt.Fprintf(&b, "\nM 644 inline deploy/n.cue\ndata %d\n%s\n", len(text), text)
	}
	cmd := exec.Command("git", "fast-import", "--quiet", "--force")
	cmd.Dir, cmd.Env, cmd.Stdin = w.work, w.env, strings.NewReader(b.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		w.Fatalf("fast-import: %v\n%s", err, out)
	}
	w.git("reset", "-q", "--hard")
	return w.git("rev-parse", "HEAD")
}

// push publishes the branch, whatever was there.
func (w *world) push() {
	w.Helper()
	w.git("push", "-q", "--force", "origin", "main")
}

// serve serves the bare repository over http, with git's own program.
func (w *world) serve(guard func(http.Handler) http.Handler) string {
	w.Helper()
	git, err := exec.LookPath("git")
	if err != nil {
		w.Fatal(err)
	}
	var handler http.Handler = &cgi.Handler{
		Path: git, Args: []string{"http-backend"}, Dir: w.dir, Stderr: io.Discard,
		Env: []string{"GIT_PROJECT_ROOT=" + w.dir, "GIT_HTTP_EXPORT_ALL=1", "HOME=" + w.dir},
	}
	if guard != nil {
		handler = guard(handler)
	}
	server := httptest.NewServer(handler)
	w.Cleanup(server.Close)
	return server.URL + "/spec.git"
}

// open makes a source with a cache of its own.
func (w *world) open(c Config) *Git {
	w.Helper()
	if c.URL == "" {
		c.URL = w.bare
	}
	if c.Branch == "" {
		c.Branch = "main"
	}
	if c.Cache == "" {
		c.Cache = filepath.Join(w.TempDir(), "cache")
	}
	g, err := NewGit(c)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = g.Close() })
	return g
}
