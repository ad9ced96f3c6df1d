package source

import (
	"context"
	"errors"
	"fmt"
	"path"
	"syscall"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"

	"rsm/schema"
)

// What may be wrong with a source, for errors.Is. Every other error means that
// the repository cannot be reached now, which passes.
var (
	// ErrNoBranch: the branch was deleted, or the repository has no commit.
	ErrNoBranch = errors.New("no such branch")
	// ErrNotFound: there is no such repository, or it hides from who may not see it.
	ErrNotFound = errors.New("no such repository")
	// ErrAuth: one side did not accept the other.
	ErrAuth = errors.New("access refused")
	// ErrRewritten: the branch does not lead on from the last commit.
	ErrRewritten = errors.New("history was rewritten")
	// ErrUnverified: a commit has no signature that is trusted.
	ErrUnverified = errors.New("not verified")
	// ErrRefused: the commit holds something that a spec must not be read from.
	ErrRefused = errors.New("refused")
)

// Revision is one commit of the branch.
type Revision struct {
	// Commit is the full hash.
	Commit  string    `json:"commit"`
	Author  string    `json:"author,omitempty"` // name <email>
	Subject string    `json:"subject,omitempty"`
	When    time.Time `json:"when"` // committer time
	// Tree is the hash of what the spec is read from: equal trees are equal specs.
	Tree string `json:"tree"`
	// Signer is who signed it, "" when no trust is asked for.
	Signer string `json:"signer,omitempty"`
}

// Config tells where a spec is, and whom to believe.
type Config struct {
	// URL is https://…, ssh://…, user@host:path, file://… or a path.
	URL    string
	Branch string
	// Path is the spec directory, or .cue file, in the repository; "" is the root.
	Path string
	// Cache is a directory, which is created. Several may share it, in other
	// processes, too: one at a time fetches, and reading never waits for that.
	Cache string
	Auth  Auth
	Trust Trust
	// FastForwardOnly refuses a branch that does not lead on from the last commit.
	FastForwardOnly bool
	// Timeout is for one question to the remote; 0 means 10 s. A fetch has twelve
	// times as long.
	Timeout time.Duration
}

// Auth tells how to prove to the remote who asks. Secrets are read at each use.
type Auth struct {
	// Username goes with Token, and to ssh; "" means that of the URL, else "git".
	Username string
	// Token is a password or access token, for https.
	Token *schema.Secret
	// SSHKey is the path of a private key, SSHPassphrase opens it.
	SSHKey        string
	SSHPassphrase *schema.Secret
	// SSHAgent asks the agent at SSH_AUTH_SOCK instead of a key file.
	SSHAgent bool
	// KnownHosts is the path of a known_hosts file. Without it ssh is refused.
	KnownHosts string
	// CAFile is the path of PEM certificates to trust for https, beside the system's.
	CAFile string
}

// Git reads a spec from a branch of a git repository. It may be used by several
// goroutines.
type Git struct {
	config Config
	remote remote
	trust  *trust
	cache  *cache
	// Each holds one token while its question is on its way.
	polls, fetches chan struct{}
	// lost is a last commit that even a new cache does not have. Fetches have it.
	lost plumbing.Hash
}

// remote is where the branch is.
type remote interface {
	fmt.Stringer // where that is, for messages
	// tip returns the commit of the branch.
	tip(ctx context.Context) (plumbing.Hash, error)
	// fetch brings it, and all that it is made of, into a repository.
	fetch(ctx context.Context, into *git.Repository) (plumbing.Hash, error)
}

// NewGit opens the cache. It does not ask the remote. Files of keys are read,
// to tell at once when they are bad.
func NewGit(config Config) (*Git, error) {
	if config.Timeout == 0 {
		config.Timeout = 10 * time.Second
	}
	config.Path = path.Clean("./" + path.Clean("/"+config.Path))
	if err := plumbing.NewBranchReferenceName(config.Branch).Validate(); config.Branch == "" || err != nil {
		return nil, fmt.Errorf("open source: %q is no name of a branch", config.Branch)
	}
	from, err := newRemote(config)
	if err != nil {
		return nil, fmt.Errorf("open source: %w", err)
	}
	trust, err := newTrust(config.Trust)
	if err != nil {
		return nil, fmt.Errorf("open source: %w", err)
	}
	cache := &cache{dir: config.Cache}
	if err := cache.prepare(); err != nil {
		return nil, fmt.Errorf("open source: %w", err)
	}
	return &Git{
		config: config, remote: from, trust: trust, cache: cache,
		polls: make(chan struct{}, 1), fetches: make(chan struct{}, 1),
	}, nil
}

// Poll asks the remote for the branch's commit, and nothing more.
func (g *Git) Poll(ctx context.Context) (commit string, err error) {
	ctx, cancel := context.WithTimeout(ctx, g.config.Timeout)
	defer cancel()
	tip, err := within(ctx, g.remote, g.polls, g.remote.tip)
	if err != nil {
		return "", fmt.Errorf("poll: %w", err)
	}
	return tip.String(), nil
}

// Fetch brings the branch's commit into the cache and checks what is asked for:
// that it leads on from last, the signatures since last, and that the spec can
// be read from it. last is a commit that was fetched before, or "" for none; it
// stays readable. After ErrRewritten, ErrUnverified and ErrRefused the Revision
// is that of the commit they are about; after other errors it is empty.
func (g *Git) Fetch(ctx context.Context, last string) (Revision, error) {
	ctx, cancel := context.WithTimeout(ctx, 12*g.config.Timeout)
	defer cancel()
	got, err := within(ctx, g.remote, g.fetches, func(ctx context.Context) (verdict, error) {
		return g.fetch(ctx, plumbing.NewHash(last))
	})
	if err == nil {
		err = got.err
	}
	if err != nil {
		return got.revision, fmt.Errorf("fetch: %w", err)
	}
	return got.revision, nil
}

// Revision reads a commit from the cache, without asking the remote. Signer is
// "" when the commit alone is not trusted.
func (g *Git) Revision(commit string) (Revision, error) {
	r, err := read(g, commit, func(c *checkout) (Revision, error) {
		revision, err := c.revision()
		if err == nil {
			revision.Signer, _ = g.trust.signer(c.commit)
		}
		return revision, err
	})
	if err != nil {
		return Revision{}, fmt.Errorf("read commit %s: %w", commit, err)
	}
	return r, nil
}

// Tree reads the spec of a commit from the cache, without asking the remote.
func (g *Git) Tree(commit string) (schema.Tree, error) {
	tree, err := read(g, commit, (*checkout).tree)
	if err != nil {
		return schema.Tree{}, fmt.Errorf("read spec of %s: %w", commit, err)
	}
	return tree, nil
}

// Close ends the use of the cache; a fetch that is on its way ends by itself.
func (g *Git) Close() error { return nil }

// read opens a commit of the cache for a question. Each has a repository of its
// own, as those of go-git are not for several goroutines.
func read[T any](g *Git, commit string, ask func(*checkout) (T, error)) (value T, err error) {
	defer survive(&err)
	var none T
	release, err := g.cache.hold(syscall.LOCK_SH)
	if err != nil {
		return none, err
	}
	defer release()
	repo, err := g.cache.open()
	if err != nil {
		return none, err
	}
	at, err := newCheckout(repo, plumbing.NewHash(commit), g.config.Path)
	if err != nil {
		return none, err
	}
	return ask(at)
}

// within asks a question that may not heed its context, as the handshake of ssh
// does not. Such a question keeps its place in the slot, so that they do not pile up.
func within[T any](ctx context.Context, whom fmt.Stringer, slot chan struct{}, ask func(context.Context) (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	var none T
	select {
	case slot <- struct{}{}:
	case <-ctx.Done():
		return none, unanswered(ctx, whom)
	}
	answers := make(chan answer, 1)
	go func() {
		defer func() { <-slot }()
		var got answer
		defer func() { answers <- got }()
		defer survive(&got.err)
		got.value, got.err = ask(ctx)
	}()
	select {
	case got := <-answers:
		return got.value, got.err
	case <-ctx.Done():
		return none, unanswered(ctx, whom)
	}
}

// unanswered is always the same text, so that it is told once.
func unanswered(ctx context.Context, whom fmt.Stringer) error {
	return fmt.Errorf("%s: no answer: %w", whom, ctx.Err())
}

// survive turns a crash into an error: what is read was written by others, and
// go-git has crashed on such things before.
func survive(err *error) {
	if crash := recover(); crash != nil {
		*err = fmt.Errorf("crashed: %s", line(fmt.Sprint(crash), 200))
	}
}
