package schema

import (
	"net/url"
	"regexp"
	"strings"
)

// scp is user@host:path, as ssh takes it.
var scp = regexp.MustCompile(`^([^/@:]+@)?[^/@:]+:[^/]`)

// transport is https, ssh or file.
func transport(address string) string {
	scheme, _, given := strings.Cut(address, "://")
	switch {
	case given && (scheme == "http" || scheme == "https"):
		return "https"
	case given && scheme == "ssh", !given && (scp.MatchString(address) || strings.Contains(strings.SplitN(address, "/", 2)[0], "@")):
		return "ssh"
	case given && scheme != "file":
		return ""
	}
	return "file"
}

// checkSource looks at what fits the kind of the repository, and makes a local
// path absolute.
func (d *decoder) checkSource(path string, s *GitSource) {
	kind := transport(s.URL)
	switch {
	case kind == "":
		d.report(CodeService, path+".git", false, "rsm speaks https, ssh and file")
	case d.password(path+".git", s.URL):
	case kind == "file" && !strings.Contains(s.URL, "://"):
		s.URL = d.local(s.URL)
	}
	d.checkAuth(path+".auth", kind, s.Auth)
}

// password refuses one in a URL.
func (d *decoder) password(path, text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.User == nil {
		return false
	}
	secret, given := u.User.Password()
	if given {
		d.secrets[secret], d.secrets[text] = true, true
		d.report(CodeSecret, path, false, "a password must not be written in the URL (it is *** here)").Hint =
			`write auth: token: {env: "NAME"} or {file: "PATH"}, and change the password`
	}
	return given
}

// checkAuth refuses what would have no effect and what is missing.
func (d *decoder) checkAuth(path, kind string, a GitAuth) {
	for _, field := range []struct {
		name, needs string
		given       bool
	}{
		{"token", "https", a.Token != nil}, {"username", "https", a.Username != ""}, {"ca", "https", a.CAFile != ""},
		{"key", "ssh", a.SSHKey != ""}, {"keyPassphrase", "ssh", a.SSHPassphrase != nil}, {"agent", "ssh", a.SSHAgent},
		{"knownHosts", "ssh", a.KnownHosts != ""},
	} {
		if field.given && kind != "" && kind != field.needs {
			d.report(CodeService, path+"."+field.name, true, "%s is for %s, but the repository is reached by %s", field.name, field.needs, kind)
		}
	}
	switch {
	case a.Username != "" && a.Token == nil && kind == "https":
		d.report(CodeService, path+".username", true, "username has no effect without token")
	case kind != "ssh":
	case a.KnownHosts == "":
		d.report(CodeService, path, true, "ssh needs knownHosts").Hint = "`ssh-keyscan HOST` prints what belongs in it; compare it with what the host's owner says"
	case (a.SSHKey == "") == !a.SSHAgent:
		d.report(CodeService, path, true, "ssh needs one of key and agent")
	case a.SSHKey == "" && a.SSHPassphrase != nil:
		d.report(CodeService, path+".keyPassphrase", true, "keyPassphrase has no effect without key")
	}
}

// notifyFields are what each type needs and may have beside events.
var notifyFields = map[string]struct{ needs, may []string }{
	"log":     {nil, nil},
	"webhook": {[]string{"url"}, []string{"secret"}},
	"slack":   {[]string{"url"}, nil},
	"github":  {[]string{"token", "repo"}, []string{"api"}},
	"gitea":   {[]string{"token", "repo", "api"}, nil},
}

func (d *decoder) checkNotify(path, kind string, fields map[string]any) {
	rule, ok := notifyFields[kind]
	if !ok {
		return // reported already
	}
	known := map[string]bool{"type": true, "events": true}
	for _, name := range rule.needs {
		// One that is given wrongly is reported there.
		if _, given := d.index.labels[path+"."+name]; !given && fields[name] == nil {
			d.report(CodeService, path, true, "%s needs %s", kind, name)
		}
		known[name] = true
	}
	for _, name := range rule.may {
		known[name] = true
	}
	for _, name := range keys(fields) {
		if !known[name] {
			d.report(CodeService, path+"."+name, true, "%s has no effect with type %q", name, kind)
		}
	}
}
