package source

import (
	"context"
	"errors"
	"time"

	"rsm/schema"
)

// What may be wrong with a source, for errors.Is. Every other error means that
// the repository cannot be reached now, which passes.
var (
	// ErrNoBranch: the branch was deleted, or the repository has no commit.
	ErrNoBranch = errors.New("no such branch")
	// ErrNotFound: there is no such repository, or it hides from who may not see it.
	ErrNotFound = errors.New("no such repository")
	// ErrAuth: the repository refused who asks.
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
	// Cache is a directory, which is created. One Git at a time has it.
	Cache string
	Auth  Auth
	Trust Trust
	// FastForwardOnly refuses a branch that does not lead on from the last commit.
	FastForwardOnly bool
	// Timeout is for one question to the remote; 0 means 10 s, and 2 min for a fetch.
	Timeout time.Duration
}

// Auth tells how to prove to the remote who asks. Secrets are read at each use.
type Auth struct {
	// Username goes with Token; "" means "git".
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

// Modes of Trust.
const (
	TrustNone  = ""
	TrustHead  = "head"  // the branch's commit must be signed
	TrustRange = "range" // and every commit since the last one
)

// Trust tells whose signatures count.
type Trust struct {
	Mode string
	// PGPKeyrings are paths of armored public keys.
	PGPKeyrings []string
	// SSHAllowedSigners is the path of a file as ssh-keygen(1) describes it.
	SSHAllowedSigners string
}

// Git reads a spec from a branch of a git repository.
type Git struct{}

// NewGit opens the cache. It does not ask the remote.
func NewGit(Config) (*Git, error) { return nil, errors.ErrUnsupported }

// Poll asks the remote for the branch's commit, and nothing more.
func (g *Git) Poll(context.Context) (commit string, err error) { return "", errors.ErrUnsupported }

// Fetch brings the branch's commit into the cache and checks what is asked for.
func (g *Git) Fetch(_ context.Context, last string) (Revision, error) {
	return Revision{}, errors.ErrUnsupported
}

// Revision reads a commit from the cache.
func (g *Git) Revision(commit string) (Revision, error) { return Revision{}, errors.ErrUnsupported }

// Tree reads the spec of a commit from the cache.
func (g *Git) Tree(commit string) (schema.Tree, error) { return schema.Tree{}, errors.ErrUnsupported }

// Close frees the cache.
func (g *Git) Close() error { return nil }
