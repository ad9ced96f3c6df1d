package source

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sshKey makes a key and returns its path and public half.
func (w *world) sshKey(name string, args ...string) (path, public string) {
	w.Helper()
	path = filepath.Join(w.dir, name)
	if len(args) == 0 {
		args = []string{"-t", "ed25519"}
	}
	w.run("", "ssh-keygen", append([]string{"-q", "-N", "", "-C", name, "-f", path}, args...)...)
	text, err := os.ReadFile(path + ".pub")
	w.must(err)
	return path, strings.TrimSpace(string(text))
}

// signWith has git sign with an SSH key from now on.
func (w *world) signWith(key string) {
	w.Helper()
	w.git("config", "gpg.format", "ssh")
	w.git("config", "user.signingkey", key)
	w.git("config", "commit.gpgsign", "true")
}

func (w *world) file(name, text string) string {
	w.Helper()
	path := filepath.Join(w.dir, name)
	w.must(os.WriteFile(path, []byte(text), 0o600))
	return path
}

// unverified checks that the commit is named and not trusted, and why.
func unverified(t *testing.T, g *Git, last, commit, blamed, why string) {
	t.Helper()
	r, err := g.Fetch(t.Context(), last)
	if !errors.Is(err, ErrUnverified) || r.Commit != commit || r.Signer != "" {
		t.Fatalf("got %+v %v", r, err)
	}
	if !strings.Contains(err.Error(), blamed) || !strings.Contains(err.Error(), why) {
		t.Errorf("%q does not tell %s and %q", err, blamed, why)
	}
}

// verified checks that the commit is trusted.
func verified(t *testing.T, g *Git, last, commit, signer string) {
	t.Helper()
	r, err := g.Fetch(t.Context(), last)
	if err != nil || r.Commit != commit || !strings.Contains(r.Signer, signer) {
		t.Fatalf("got %+v %v", r, err)
	}
	if again, err := g.Revision(commit); err != nil || again != r {
		t.Errorf("from the cache: %+v %v, want %+v", again, err, r)
	}
}

func TestSSHSignatures(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada, adaPublic := w.sshKey("ada")
	eve, _ := w.sshKey("eve")
	signers := w.file("signers", "# who may sign\n\nada@example.com namespaces=\"file,g*\" "+adaPublic+"\n")
	g := w.open(Config{Trust: Trust{Mode: TrustRange, SSHAllowedSigners: signers}})

	unsigned := w.commit("a.cue", aSpec)
	w.push()
	unverified(t, g, "", unsigned, unsigned, "it is not signed")
	w.signWith(ada)
	signed := w.commit("a.cue", aSpec+"// 1\n")
	w.push()
	// The first one asks of the head alone; from the unsigned commit on it is good.
	verified(t, g, "", signed, "ada@example.com (SSH SHA256:")
	verified(t, g, unsigned, signed, "ada@example.com")

	w.signWith(eve)
	wrong := w.commit("a.cue", aSpec+"// 2\n")
	w.push()
	unverified(t, g, signed, wrong, wrong, "not among the allowed signers")
	w.signWith(ada)
	covered := w.commit("a.cue", aSpec+"// 3\n")
	w.push()
	unverified(t, g, signed, covered, wrong, "not among the allowed signers")
	verified(t, w.open(Config{Trust: Trust{Mode: TrustHead, SSHAllowedSigners: signers}}), signed, covered, "ada")

	// An unsigned commit that a signed merge carries in.
	w.git("reset", "-q", "--hard", signed)
	w.git("checkout", "-q", "-b", "side")
	side := w.commit("side.cue", aSpec, "--no-gpg-sign")
	w.git("checkout", "-q", "main")
	w.commit("a.cue", aSpec+"// 4\n")
	w.git("merge", "-q", "-S", "--no-edit", "side")
	merge := w.git("rev-parse", "HEAD")
	w.push()
	unverified(t, g, signed, merge, side, "it is not signed")

	// The same message under another name: git's own signature, for another purpose.
	w.git("reset", "-q", "--hard", signed)
	forged := w.forge(ada, "file", "sha512")
	w.push()
	unverified(t, g, signed, forged, forged, `made for "file", not for git`)
	w.git("reset", "-q", "--hard", signed)
	made := w.forge(ada, "git", "sha256")
	w.push()
	verified(t, g, signed, made, "ada@example.com")

	unknown := strings.Repeat("1", 40)
	unverified(t, g, unknown, made, unknown, "not in the repository any more")
}

// forge makes a commit with a signature that ssh-keygen makes for a namespace.
func (w *world) forge(key, namespace, hash string) string {
	w.Helper()
	tree, parent := w.git("rev-parse", "HEAD^{tree}"), w.git("rev-parse", "HEAD")
	head := "tree " + tree + "\nparent " + parent + "\nauthor Ada <ada@example.com> 1800000000 +0000\ncommitter Ada <ada@example.com> 1800000000 +0000\n"
	body := "\nforged " + namespace + " " + hash + "\n"
	message := w.file("message", head+body)
	w.run("", "ssh-keygen", "-Y", "sign", "-q", "-n", namespace, "-O", "hashalg="+hash, "-f", key, message)
	signature, err := os.ReadFile(message + ".sig")
	w.must(err)
	w.must(os.Remove(message + ".sig"))
	folded := "gpgsig " + strings.ReplaceAll(strings.TrimSpace(string(signature)), "\n", "\n ") + "\n"
	commit := w.git("hash-object", "-t", "commit", "-w", w.file("commit", head+folded+body))
	w.git("reset", "-q", "--hard", commit)
	return commit
}

// TestSSHValidity: a key counts from and until, by the commit's own time, but
// not before its parents'.
func TestSSHValidity(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old, oldPublic := w.sshKey("old")
	young, youngPublic := w.sshKey("young", "-t", "ecdsa")
	signers := w.file("signers", `ada@example.com valid-before="20200101Z" `+oldPublic+"\n"+
		`"ada@example.com" namespaces="git",valid-after="202001010000Z",valid-before="20991231235959" `+youngPublic+"\n")
	g := w.open(Config{Trust: Trust{Mode: TrustHead, SSHAllowedSigners: signers}})
	at := func(when string) {
		w.env = append(w.env, "GIT_COMMITTER_DATE="+when, "GIT_AUTHOR_DATE="+when)
	}
	at("2019-05-01T00:00:00Z")
	w.signWith(old)
	before := w.commit("a.cue", aSpec)
	w.push()
	verified(t, g, "", before, "SSH")
	w.signWith(young)
	early := w.commit("a.cue", aSpec+"// 1\n")
	w.push()
	unverified(t, g, before, early, early, "only after 2020-01-01")
	at("2021-05-01T00:00:00Z")
	later := w.commit("a.cue", aSpec+"// 2\n", "--amend")
	w.push()
	verified(t, g, before, later, "SSH")
	w.signWith(old)
	late := w.commit("a.cue", aSpec+"// 3\n")
	w.push()
	unverified(t, g, later, late, late, "until 2020-01-01")
	at("2019-05-01T00:00:00Z") // dated back
	back := w.commit("a.cue", aSpec+"// 3\n", "--amend")
	w.push()
	unverified(t, g, later, back, back, "until 2020-01-01")
}

// TestAllowedSigners: a line that is not understood lets nobody in.
func TestAllowedSigners(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, key := w.sshKey("ada")
	for _, test := range []struct{ text, want string }{
		{"", "names nobody"},
		{"# nothing\n", "names nobody"},
		{"ada@example.com\n", "line 1: no key"},
		{"ada cert-authority " + key, "certificate authorities are not supported"},
		{"ada namespaces=\"git\",cert-authority " + key, "certificate authorities are not supported"},
		{"\nada colour=blue " + key, "line 2: option \"colour\""},
		{"ada valid-before=2020 " + key, "valid-before: \"2020\" is not a time"},
		{`ada namespaces="git" valid-before="20200101" ` + key, "no key that can be understood"},
		{"ada ssh-ed25519 AAAA", "no key that can be understood"},
	} {
		_, err := NewGit(Config{URL: w.bare, Branch: "main", Cache: filepath.Join(w.dir, "c"),
			Trust: Trust{Mode: TrustHead, SSHAllowedSigners: w.file("bad", test.text)}})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: got %v, want %q", test.text, err, test.want)
		}
	}
	for pattern, want := range map[string]bool{"git": true, "*": true, "g?t": true, "gi": false, "git?": false, "g*t": true, "file": false, "": false} {
		if matches(pattern, "git") != want {
			t.Errorf("%q: not %v", pattern, want)
		}
	}
	for _, trust := range []Trust{{Mode: "all"}, {Mode: TrustHead}, {Mode: TrustHead, PGPKeyrings: []string{w.file("none", "hello")}}} {
		if _, err := NewGit(Config{URL: w.bare, Branch: "main", Cache: filepath.Join(w.dir, "c"), Trust: trust}); err == nil {
			t.Errorf("%+v is fine", trust)
		}
	}
}

func TestPGPSignatures(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	// Its socket has a short path only.
	home, err := os.MkdirTemp("", "gpg")
	w.must(err)
	w.env = append(w.env, "GNUPGHOME="+home)
	w.Cleanup(func() {
		w.run("", "gpgconf", "--kill", "all")
		_ = os.RemoveAll(home)
	})
	key := func(who string, args ...string) string {
		w.run("", "gpg", append([]string{"--batch", "-q", "--passphrase", "", "--pinentry-mode", "loopback", "--quick-gen-key", who}, args...)...)
		return w.run("", "gpg", "--armor", "--export", who)
	}
	ada := key("ada@example.com", "ed25519", "sign", "never")
	key("eve@example.com", "ed25519", "sign", "never")
	bob := key("bob@example.com", "rsa2048", "sign", "seconds=3")
	made := time.Now()
	// Two blocks in one file; go-git alone would read one.
	ring := w.file("ring.asc", bob+"\n"+ada+"\n")
	g := w.open(Config{Trust: Trust{Mode: TrustRange, PGPKeyrings: []string{ring}}})
	sign := func(who, text string) string {
		w.git("config", "user.signingkey", who)
		commit := w.commit("a.cue", aSpec+text, "-S")
		w.push()
		return commit
	}
	expiring := sign("bob@example.com", "// bob")
	first := sign("ada@example.com", "// 1")
	verified(t, g, "", first, "ada@example.com (PGP ")
	second := sign("ada@example.com", "// 2")
	verified(t, g, first, second, "ada@example.com")
	unverified(t, g, first, sign("eve@example.com", "// 3"), "commit", "unknown entity")

	for within, want := range map[time.Duration]int{time.Hour: 1, -time.Hour: 0} {
		soon, err := g.Expiring(time.Now(), within)
		if err != nil || len(soon) != want || want == 1 && !strings.HasPrefix(soon[0], "bob@example.com (PGP ") {
			t.Errorf("within %s expire %q, %v", within, soon, err)
		}
	}
	w.git("reset", "-q", "--hard", expiring)
	w.push()
	time.Sleep(time.Until(made.Add(4 * time.Second))) // gpg cannot expire a key in the past
	unverified(t, g, "", expiring, expiring, "expired")
}
