package source

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/storage/memory"
)

// scpLike is user@host:path, without a slash before the colon.
var scpLike = regexp.MustCompile(`^(?:([^@/:]+)@)?([^/:]+):([^/].*|/.*)$`)

// newRemote finds out what the URL is.
func newRemote(c Config) (remote, error) {
	branch := plumbing.NewBranchReferenceName(c.Branch)
	if m := scpLike.FindStringSubmatch(c.URL); m != nil && !strings.Contains(c.URL, "://") {
		n := &network{url: c.URL, host: m[2], user: m[1], branch: branch, auth: c.Auth, secure: "ssh"}
		return n, n.check()
	}
	if !strings.Contains(c.URL, "://") {
		return newLocal(c.URL, branch)
	}
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, errors.New("the URL cannot be understood") // it may hold a password
	}
	if _, has := u.User.Password(); has {
		return nil, errors.New("the URL holds a password, which every error would show: give it as the token")
	}
	switch u.Scheme {
	case "file":
		if u.Host != "" && u.Host != "localhost" {
			return nil, fmt.Errorf("%s: a file of another machine", c.URL)
		}
		return newLocal(u.Path, branch)
	case "https", "http", "ssh":
		n := &network{host: u.Host, user: u.User.Username(), branch: branch, auth: c.Auth, secure: u.Scheme}
		if u.Scheme != "ssh" {
			u.User = nil
		}
		n.url = u.String()
		return n, n.check()
	}
	return nil, fmt.Errorf("%s: give an https or ssh URL, or a path", c.URL)
}

// network is a repository that is asked over https or ssh.
type network struct {
	url, host, user string
	// secure is how: "https", "http" or "ssh".
	secure string
	branch plumbing.ReferenceName
	auth   Auth
}

func (n *network) String() string { return n.url }

// check refuses what would be unsafe, and reads every key once.
func (n *network) check() error {
	if n.secure == "http" && n.auth.Token != nil && !loopback(n.host) {
		return fmt.Errorf("%s: a token would go over the network in clear: use https", n.url)
	}
	if n.secure == "ssh" {
		if _, err := n.ssh(); err != nil {
			return err
		}
	}
	if n.auth.CAFile != "" {
		if _, err := os.ReadFile(n.auth.CAFile); err != nil {
			return fmt.Errorf("read CA file: %w", err)
		}
	}
	return nil
}

func loopback(host string) bool {
	if bare, _, err := net.SplitHostPort(host); err == nil {
		host = bare
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && addr.IsLoopback()
}

func (n *network) tip(ctx context.Context) (plumbing.Hash, error) {
	c, err := n.credentials()
	if err != nil {
		return plumbing.ZeroHash, err
	}
	from := git.NewRemote(memory.NewStorage(), &config.RemoteConfig{Name: "origin", URLs: []string{n.url}})
	refs, err := from.ListContext(ctx, &git.ListOptions{Auth: c.method, CABundle: c.ca})
	if err != nil {
		return plumbing.ZeroHash, n.explain(err, c)
	}
	for _, ref := range refs {
		if ref.Name() == n.branch && ref.Type() == plumbing.HashReference {
			return ref.Hash(), nil
		}
	}
	return plumbing.ZeroHash, n.explain(plumbing.ErrReferenceNotFound, c)
}

func (n *network) fetch(ctx context.Context, into *git.Repository) (plumbing.Hash, error) {
	c, err := n.credentials()
	if err != nil {
		return plumbing.ZeroHash, err
	}
	from := git.NewRemote(into.Storer, &config.RemoteConfig{Name: "origin", URLs: []string{n.url}})
	for range hurries {
		err = from.FetchContext(ctx, &git.FetchOptions{
			RefSpecs: []config.RefSpec{config.RefSpec("+" + n.branch.String() + ":" + tipRef.String())},
			Auth:     c.method, CABundle: c.ca, Tags: git.NoTags, Force: true,
		})
		if !hurried(err) {
			break
		}
	}
	// "Up to date" is said of objects and of references, and not reliably: what
	// the reference names now is what counts.
	if err != nil && !errors.Is(err, git.NoErrAlreadyUpToDate) {
		return plumbing.ZeroHash, n.explain(err, c)
	}
	ref, err := into.Storer.Reference(tipRef)
	if err != nil {
		return plumbing.ZeroHash, fmt.Errorf("%w: %w", errBroken, err)
	}
	return ref.Hash(), nil
}

// hurries is how often a fetch is tried while the server is in a hurry.
const hurries = 5

// hurried reports whether an ssh server had answered and closed before go-git
// closed its own side, which go-git v5 takes for an error.
func hurried(err error) bool {
	return err != nil && strings.HasSuffix(err.Error(), "closing input: EOF")
}

// explain says what an error of the transport means, in one line and without
// secrets. Its text may come from the server.
func (n *network) explain(err error, c credentials) error {
	text, hint := c.scrub(err), n.refusal(err, c)
	switch {
	case errors.Is(err, plumbing.ErrObjectNotFound):
		return fmt.Errorf("%s: %w: %w", n.url, errBroken, err)
	case errors.Is(err, git.NoMatchingRefSpecError{}), errors.Is(err, plumbing.ErrReferenceNotFound):
		return fmt.Errorf("%s: %w: %s; was it deleted or renamed?", n.url, ErrNoBranch, n.branch.Short())
	case errors.Is(err, transport.ErrEmptyRemoteRepository):
		return fmt.Errorf("%s: %w: %s; the repository is empty", n.url, ErrNoBranch, n.branch.Short())
	case errors.Is(err, transport.ErrRepositoryNotFound):
		return fmt.Errorf("%s: %w; check the URL, and whether %s may read it: many hosts hide what may not be seen", n.url, ErrNotFound, c.who)
	case hint != "":
		return fmt.Errorf("%s: %w: %s; %s", n.url, ErrAuth, text, hint)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		if errors.Is(err, context.DeadlineExceeded) {
			err = context.DeadlineExceeded // without what it was doing just then
		}
		return fmt.Errorf("%s: no answer: %w", n.url, err)
	}
	return fmt.Errorf("%s: %s", n.url, text)
}

// local is a repository on this machine. It is read directly: the transport of
// go-git would need the git program.
type local struct {
	path   string
	branch plumbing.ReferenceName
}

func newLocal(path string, branch plumbing.ReferenceName) (remote, error) {
	abs, err := filepath.Abs(path)
	if err != nil || path == "" {
		return nil, fmt.Errorf("%q is no path: %w", path, err)
	}
	return &local{path: abs, branch: branch}, nil
}

func (l *local) String() string { return l.path }

func (l *local) open() (*git.Repository, plumbing.Hash, error) {
	repo, err := git.PlainOpenWithOptions(l.path, &git.PlainOpenOptions{EnableDotGitCommonDir: true})
	if errors.Is(err, git.ErrRepositoryNotExists) {
		return nil, plumbing.ZeroHash, fmt.Errorf("%s: %w; check the path", l.path, ErrNotFound)
	}
	if err != nil {
		return nil, plumbing.ZeroHash, fmt.Errorf("open %s: %w", l.path, err)
	}
	ref, err := repo.Reference(l.branch, true)
	if errors.Is(err, plumbing.ErrReferenceNotFound) {
		return nil, plumbing.ZeroHash, fmt.Errorf("%s: %w: %s; was it deleted or renamed?", l.path, ErrNoBranch, l.branch.Short())
	}
	if err != nil {
		return nil, plumbing.ZeroHash, fmt.Errorf("read branch of %s: %w", l.path, err)
	}
	return repo, ref.Hash(), nil
}

func (l *local) tip(context.Context) (plumbing.Hash, error) {
	_, tip, err := l.open()
	return tip, err
}

func (l *local) fetch(_ context.Context, into *git.Repository) (plumbing.Hash, error) {
	repo, tip, err := l.open()
	if err != nil {
		return tip, err
	}
	if cut, err := repo.Storer.Shallow(); err != nil || len(cut) > 0 {
		return tip, fmt.Errorf("%s: a shallow clone, without the history that is needed: run git fetch --unshallow in it", l.path)
	}
	if err := transfer(repo, into, tip); err != nil {
		// What is missing is missing there, not in the cache.
		return tip, fmt.Errorf("%s: %s", l.path, err.Error())
	}
	if err := into.Storer.SetReference(plumbing.NewHashReference(tipRef, tip)); err != nil {
		return tip, fmt.Errorf("%w: %w", errBroken, err)
	}
	return tip, nil
}
