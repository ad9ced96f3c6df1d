package schema

import (
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// The defaults of a service that service.cue names in its comments.
const (
	defaultListen    = "127.0.0.1:8090"
	defaultBranch    = "main"
	defaultInterval  = "30s"
	defaultLeaseTTL  = "10s"
	defaultBudget    = 1
	defaultGitHubAPI = "https://api.github.com"
)

// decodeService fills the service.
func (d *decoder) decodeService(s *Service, root map[string]any) {
	*s = Service{
		Source:   d.gitSource("source", get[map[string]any](root, "source")),
		Listen:   or(root, "listen", defaultListen),
		Token:    d.secret("token", root, "token"),
		Budget:   or(root, "budget", defaultBudget),
		LeaseTTL: d.atLeast("leaseTTL", or(root, "leaseTTL", defaultLeaseTTL), 2*time.Second),
		Heal:     or(root, "heal", "yes") == "yes",
	}
	d.checkListen(s.Listen)
	if webhook := get[map[string]any](root, "webhook"); webhook != nil {
		s.Webhook = d.webhook("webhook.secrets", webhook)
	}
	for i, entry := range get[[]any](root, "notify") {
		if fields, ok := entry.(map[string]any); ok {
			s.Notify = append(s.Notify, d.notify(element("notify", i), fields))
		}
	}
}

func (d *decoder) gitSource(path string, fields map[string]any) GitSource {
	auth, verify := get[map[string]any](fields, "auth"), get[map[string]any](fields, "verify")
	s := GitSource{
		URL:             get[string](fields, "git"),
		Branch:          or(fields, "branch", defaultBranch),
		Path:            or(fields, "path", "."),
		Interval:        d.atLeast(path+".interval", or(fields, "interval", defaultInterval), time.Second),
		FastForwardOnly: get[string](fields, "history") == "fast-forward-only",
		Auth:            d.gitAuth(path+".auth", auth),
		Trust: GitTrust{
			Mode:              get[string](verify, "mode"),
			PGPKeyrings:       d.paths(path+".verify.pgp", get[[]any](verify, "pgp")),
			SSHAllowedSigners: d.file(path+".verify", verify, "ssh"),
		},
	}
	if s.URL != "" {
		d.checkSource(path, &s)
	}
	if s.Trust.Mode != "" && len(s.Trust.PGPKeyrings) == 0 && s.Trust.SSHAllowedSigners == "" {
		d.report(CodeService, path+".verify", true, "no key is trusted: give pgp, ssh or both")
	}
	return s
}

func (d *decoder) gitAuth(path string, fields map[string]any) GitAuth {
	return GitAuth{
		Username:      get[string](fields, "username"),
		Token:         d.secret(path+".token", fields, "token"),
		SSHKey:        d.file(path, fields, "key"),
		SSHPassphrase: d.secret(path+".keyPassphrase", fields, "keyPassphrase"),
		SSHAgent:      yes(fields, "agent"),
		KnownHosts:    d.file(path, fields, "knownHosts"),
		CAFile:        d.file(path, fields, "ca"),
	}
}

// paths reads a list of paths.
func (d *decoder) paths(path string, list []any) []string {
	var paths []string
	for i := range list {
		name := strconv.Itoa(i)
		if file := d.file(path, map[string]any{name: list[i]}, name); file != "" {
			paths = append(paths, file)
		}
	}
	return paths
}

func (d *decoder) webhook(path string, fields map[string]any) []Secret {
	list := get[[]any](fields, "secrets")
	if fields["secrets"] != nil && (len(list) < 1 || len(list) > 2) {
		d.report(CodeService, path, true, "%d secrets: want one, or two while they are changed", len(list))
	}
	var secrets []Secret
	for i := range list {
		if s := d.secret(element(path, i), map[string]any{"": list[i]}, ""); s != nil {
			secrets = append(secrets, *s)
		}
	}
	return secrets
}

func (d *decoder) notify(path string, fields map[string]any) Notify {
	n := Notify{
		Type:   get[string](fields, "type"),
		URL:    URL{Text: get[string](fields, "url"), Secret: d.secret(path+".url", fields, "url")},
		Secret: d.secret(path+".secret", fields, "secret"),
		Token:  d.secret(path+".token", fields, "token"),
		Repo:   get[string](fields, "repo"),
		API:    get[string](fields, "api"),
	}
	for i, entry := range get[[]any](fields, "events") {
		name, ok := entry.(string)
		if ok && !slices.Contains(Events(), name) {
			p := d.report(CodeEvent, element(path+".events", i), false, "there is no event %q", name)
			if guess := nearest(name, Events()); guess != "" {
				p.Hint = "did you mean " + guess + "?"
			}
		}
		n.Events = append(n.Events, name)
	}
	d.checkNotify(path, n.Type, fields)
	if n.Type == "github" && n.API == "" {
		n.API = defaultGitHubAPI
	}
	return n
}

// atLeast reads a duration that must not be shorter than least.
func (d *decoder) atLeast(path, text string, least time.Duration) time.Duration {
	got := d.duration(path, text)
	if got >= time.Millisecond && got < least {
		d.report(CodeDuration, path, false, "%s is shorter than %s", got, least)
	}
	return got
}

func (d *decoder) checkListen(listen string) {
	host, port, err := net.SplitHostPort(listen)
	if _, wrong := netip.ParseAddr(host); wrong != nil && host != "" && host != "localhost" {
		err = wrong
	}
	if _, wrong := strconv.ParseUint(port, 10, 16); err != nil || wrong != nil {
		d.report(CodeAddress, "listen", false, "%q is not an address with a port", listen)
	}
}

// local makes a path absolute.
func (d *decoder) local(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(d.dir, path)
}
