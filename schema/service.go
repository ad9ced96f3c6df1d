package schema

import (
	"context"
	"time"
)

// Service is the configuration of `rsm serve`, with defaults filled in. It
// holds no secret values, only where to find them.
type Service struct {
	Source GitSource
	// Listen is host:port; an empty host is every address, port 0 a free port.
	Listen string
	// Token is for what changes something over HTTP; nil means nobody may.
	Token *Secret
	// Webhook are one or two secrets, nil without a webhook.
	Webhook []Secret
	// Budget is how many disruptive steps a pass may make; 0 is no limit.
	Budget int
	Notify []Notify
	// LeaseTTL is at least 2 s.
	LeaseTTL time.Duration
	// Heal repairs drift from the commit in force.
	Heal bool
}

// GitSource is where the spec comes from.
type GitSource struct {
	// URL is https://…, ssh://…, user@host:path, file://…, or an absolute path.
	URL    string
	Branch string
	// Path is the spec in the repository, "." for its root.
	Path string
	// Interval is at least 1 s.
	Interval        time.Duration
	FastForwardOnly bool
	Auth            GitAuth
	Trust           GitTrust
}

// GitAuth tells how to prove to the repository who asks. Paths are absolute.
type GitAuth struct {
	// Username goes with Token; "" means "git".
	Username string
	// Token is for https.
	Token *Secret
	// SSHKey is the path of a private key, SSHPassphrase opens it.
	SSHKey        string
	SSHPassphrase *Secret
	// SSHAgent asks the agent instead of a key file.
	SSHAgent bool
	// KnownHosts is there for every ssh URL.
	KnownHosts string
	// CAFile has PEM certificates to trust beside the system's.
	CAFile string
}

// GitTrust tells whose signatures count. Paths are absolute.
type GitTrust struct {
	// Mode is "", "head" or "range".
	Mode              string
	PGPKeyrings       []string
	SSHAllowedSigners string
}

// Notify is one who is told of events.
type Notify struct {
	// Type is log, webhook, slack, github or gitea.
	Type string
	// URL is set for webhook and slack.
	URL URL
	// Events are the types of events to tell; empty means all.
	Events []string
	// Secret signs what a webhook gets; may be nil.
	Secret *Secret
	// Token, Repo and API are set for github and gitea.
	Token *Secret
	Repo  string
	API   string
}

// URL is written in the configuration, or kept as a secret.
type URL struct {
	Text   string  `json:",omitempty"`
	Secret *Secret `json:",omitempty"`
}

// Read returns the URL.
func (u URL) Read() (string, error) {
	if u.Secret != nil {
		return u.Secret.Read()
	}
	return u.Text, nil
}

// LoadService reads the configuration of a service at path, a CUE file or a
// directory of them, as Load reads a spec. The Service is nil when the problems
// have an error.
func LoadService(ctx context.Context, path string) (*Service, Problems) {
	var service Service
	l := &loader{limits: Limits{}.withDefaults(), service: &service}
	fine, problems := l.load(ctx, request{Path: path})
	if fine == nil {
		return nil, problems
	}
	return &service, problems
}

// Events are the types of events that Notify may name.
func Events() []string {
	return []string{
		"apply.done", "apply.failed", "apply.start", "apply.stopped", "cluster.left", "commit.new", "commit.refused", "commit.unverified",
		"drift", "error", "healed", "held", "in-sync", "key.expiring", "lease.lost", "lease.won", "pinned", "resumed", "service.end", "service.start",
		"source.back", "source.stale", "suspended", "unpinned", "waiting",
	}
}
