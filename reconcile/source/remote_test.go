package source

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rsm/schema"
)

// TestToken: the right token gets in, a wrong one is told without its value.
func TestToken(t *testing.T) {
	t.Parallel()
	const right, wrong = "right-hunter2", "wrong-hunter3"
	w := newWorld(t)
	commit := w.commit("a.cue", aSpec)
	w.push()
	url := w.serve(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if user, password, _ := r.BasicAuth(); user != "robot" || password != right {
				rw.WriteHeader(map[bool]int{true: 401, false: 403}[password == ""])
				// A rude server repeats what it got.
				fmt.Fprintf(rw, "<html>\n\x1b[31m%s %s %s", user, password, r.Header.Get("Authorization"))
				return
			}
			next.ServeHTTP(rw, r)
		})
	})
	file := w.file("token", right+"\n")
	g := w.open(Config{URL: url, Auth: Auth{Username: "robot", Token: &schema.Secret{File: file}}})
	is := func(want error) {
		t.Helper()
		_, err := g.Poll(t.Context())
		_, fetched := g.Fetch(t.Context(), "")
		for _, err := range []error{err, fetched} {
			if !errors.Is(err, want) {
				t.Fatalf("got %v, want %v", err, want)
			}
			if err != nil && strings.ContainsAny(err.Error(), "\n\x1b") {
				t.Errorf("it is not one plain line: %q", err)
			}
			for _, secret := range []string{right, wrong, "cm9ib3Q6"} {
				if err != nil && strings.Contains(err.Error(), secret) {
					t.Errorf("the token is in %q", err)
				}
			}
		}
	}
	is(nil)
	w.file("token", wrong)
	is(ErrAuth)
	w.file("token", right) // it is read at each use
	is(nil)
	if r, err := g.Revision(commit); err != nil || r.Commit != commit {
		t.Error(r, err)
	}
	g = w.open(Config{URL: url})
	is(ErrAuth)
}

// TestUnreachable: whatever else happens is no verdict on the repository, takes
// no longer than it may, and passes.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	commit := w.commit("a.cue", aSpec)
	w.push()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	w.must(err)
	defer silent.Close()
	refusing, err := net.Listen("tcp", "127.0.0.1:0")
	w.must(err)
	w.must(refusing.Close())
	broken := w.serve(func(http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusBadGateway) })
	})
	key, _ := w.sshKey("ada")
	auth := Auth{SSHKey: key, KnownHosts: w.file("known", "")}
	for name, url := range map[string]string{
		"silent http": "http://" + silent.Addr().String() + "/x.git", "silent ssh": "ssh://git@" + silent.Addr().String() + "/x.git",
		"refused http": "http://" + refusing.Addr().String() + "/x.git", "refused ssh": "ssh://git@" + refusing.Addr().String() + "/x.git",
		"bad gateway": broken,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cache := filepath.Join(w.TempDir(), "cache")
			before := w.open(Config{Cache: cache})
			if _, err := before.Fetch(t.Context(), ""); err != nil {
				t.Fatal(err)
			}
			w.must(before.Close())
			g := w.open(Config{URL: url, Cache: cache, Auth: auth, Timeout: 200 * time.Millisecond})
			for range 2 {
				started := time.Now()
				_, err := g.Poll(t.Context())
				ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
				_, fetched := g.Fetch(ctx, commit)
				cancel()
				for _, err := range []error{err, fetched} {
					if err == nil {
						t.Fatal("it was reached")
					}
					for _, verdict := range []error{ErrNoBranch, ErrNotFound, ErrAuth, ErrRewritten, ErrUnverified, ErrRefused} {
						if errors.Is(err, verdict) {
							t.Errorf("%v is %v", err, verdict)
						}
					}
				}
				if took := time.Since(started); took > 5*time.Second {
					t.Errorf("it took %s", took)
				}
			}
			if r, err := g.Revision(commit); err != nil || r.Commit != commit {
				t.Errorf("the cache has %+v %v", r, err)
			}
		})
	}
}

// TestHostKeys: a server that is not known, or is another one, is not talked to.
func TestHostKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.commit("a.cue", aSpec)
	w.push()
	c := w.sshd()
	_, other := w.sshKey("other")
	known, err := os.ReadFile(c.Auth.KnownHosts)
	w.must(err)
	address, _, _ := strings.Cut(string(known), " ")
	for name, test := range map[string]struct{ text, want string }{
		"unknown": {"", "is not in"},
		"changed": {address + " " + other + "\n", "somebody may be in between"},
		"revoked": {"@revoked " + string(known), "revoked"},
	} {
		c.Auth.KnownHosts = w.file("known-"+name, test.text)
		g := w.open(c)
		_, polled := g.Poll(t.Context())
		_, fetched := g.Fetch(t.Context(), "")
		for _, err := range []error{polled, fetched} {
			if !errors.Is(err, ErrAuth) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: got %v", name, err)
			}
		}
	}
	c.Auth.KnownHosts = w.file("known", string(known))
	c.Auth.SSHKey, _ = w.sshKey("stranger")
	if _, err := w.open(c).Poll(t.Context()); !errors.Is(err, ErrAuth) || !strings.Contains(err.Error(), "registered") {
		t.Errorf("a stranger: %v", err)
	}
}

// TestURLs: what each kind of URL means, and which ones are refused.
func TestURLs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key, _ := w.sshKey("ada")
	known := w.file("known", "")
	ssh := Auth{SSHKey: key, KnownHosts: known}
	token := Auth{Token: &schema.Secret{Env: "RSM_TOKEN"}}
	for _, test := range []struct {
		url  string
		auth Auth
		want string // of the error, "" for none
	}{
		{"git@git.example.com:ops/spec.git", ssh, ""},
		{"git.example.com:ops/spec.git", ssh, ""},
		{"ssh://git@git.example.com:2222/ops/spec.git", ssh, ""},
		{"git@git.example.com:ops/spec.git", Auth{SSHKey: key}, "known_hosts"},
		{"git@git.example.com:ops/spec.git", Auth{KnownHosts: known}, "key file"},
		{"git@git.example.com:ops/spec.git", Auth{SSHKey: key, KnownHosts: "/nowhere"}, "read known hosts"},
		{"git@git.example.com:ops/spec.git", Auth{SSHKey: known, KnownHosts: known}, "read ssh key"},
		{"https://git.example.com/ops/spec.git", token, ""},
		{"https://robot@git.example.com/ops/spec.git", token, ""},
		{"https://robot:hunter2@git.example.com/ops/spec.git", Auth{}, "give it as the token"},
		{"https://robot:hunter2@git.example.com:x/%zz", Auth{}, "cannot be understood"},
		{"http://git.example.com/ops/spec.git", token, "in clear"},
		{"http://127.0.0.1:1/ops/spec.git", token, ""},
		{"git://git.example.com/ops/spec.git", Auth{}, "https or ssh"},
		{"file://other.example.com/spec.git", Auth{}, "another machine"},
		{"file:///srv/spec.git", Auth{}, ""},
		{"./spec.git", Auth{}, ""},
		{"", Auth{}, "no path"},
	} {
		_, err := newRemote(Config{URL: test.url, Branch: "main", Auth: test.auth})
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", test.url, err, test.want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the password is in %q", err)
		}
	}
	for _, branch := range []string{"", "a b", "..", "-x/.lock"} {
		if _, err := NewGit(Config{URL: w.bare, Branch: branch, Cache: filepath.Join(w.dir, "c")}); err == nil {
			t.Errorf("branch %q is fine", branch)
		}
	}
}
