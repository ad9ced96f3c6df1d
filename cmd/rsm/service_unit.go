package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strings"
	"text/template"
)

// unit is what a systemd unit of rsm serve depends on. Paths are absolute.
type unit struct {
	Binary, Config, State string
	// User means the manager of one user, who must not do all that root may.
	User bool
}

// unitName is the file of the unit.
const unitName = "rsm.service"

// unitSigned is the first line of a unit that rsm wrote; the second one has the
// digest of the rest, so that a unit that somebody changed is not overwritten.
const unitSigned = "# Written by rsm service install; change it with systemctl edit " + unitName + ", not here.\n# sha256:"

var unitText = template.Must(template.New(unitName).Funcs(template.FuncMap{"word": unitWord, "path": unitPath, "percent": unitPercent}).Parse(`
[Unit]
Description=rsm keeps Redis equal to a branch of a git repository
{{- if not .User}}
Wants=network-online.target
After=network-online.target
{{- end}}

[Service]
Type=notify
ExecStart={{word .Binary}} serve --state-dir {{word .State}} {{word .Config}}
ExecReload=/bin/kill -HUP $MAINPID
# The variables that secrets of the configuration name; NAME=value, mode 0600.
EnvironmentFile=-{{percent .Environment}}
Restart=on-failure
RestartSec=2
# An invalid configuration does not become valid by another start.
RestartPreventExitStatus=3 64
WatchdogSec=60
# It ends between two steps of an apply; what is left is done after the next start.
TimeoutStopSec=120

# The redis-servers, Sentinels and proxies that rsm starts are processes of this
# unit, and they must outlive it: a stop, a restart or an upgrade of rsm is none of
# Redis. So only rsm itself is ever ended (systemd speaks of left-over processes
# then, which is as it should be), and if the kernel kills a server for want of
# memory, the others stay.
KillMode=process
OOMPolicy=continue
# They inherit these, too: a connection is a file.
LimitNOFILE=524288
TasksMax=infinity
UMask=0077

# What follows holds for the servers as well. It leaves out what would be in their
# way: a /tmp of their own would hide their sockets, and modules may need memory
# that is written and executed.
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
{{- if not .User}}
ProtectSystem=full
{{- if not .AtHome}}
ProtectHome=read-only
{{- end}}
ReadWritePaths={{path .State}}
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelModules=yes
RestrictNamespaces=yes
CapabilityBoundingSet=~CAP_SYS_ADMIN CAP_SYS_BOOT CAP_SYS_MODULE CAP_SYS_RAWIO CAP_SYS_TIME CAP_NET_ADMIN
{{- end}}

[Install]
WantedBy={{if .User}}default.target{{else}}multi-user.target{{end}}
`))

// Environment is the file beside the configuration that may hold variables.
func (u unit) Environment() string { return filepath.Join(filepath.Dir(u.Config), "environment") }

// AtHome reports whether the state is where ProtectHome would hide it.
func (u unit) AtHome() bool {
	for _, home := range []string{"/home/", "/root/", "/run/user/"} {
		if strings.HasPrefix(u.State+"/", home) {
			return true
		}
	}
	return false
}

// text is the unit's file.
func (u unit) text() (string, error) {
	for _, path := range []string{u.Binary, u.Config, u.State} {
		if strings.ContainsAny(path, "\n\r") {
			return "", fmt.Errorf("systemd takes no path with a line break: %q", path)
		}
	}
	var body strings.Builder
	if err := unitText.Execute(&body, u); err != nil {
		return "", fmt.Errorf("write unit: %w", err)
	}
	return unitSigned + unitDigest(body.String()) + "\n" + body.String(), nil
}

// writtenByRSM reports whether a unit is one, and nobody has changed it.
func writtenByRSM(text string) bool {
	rest, signed := strings.CutPrefix(text, unitSigned)
	digest, body, _ := strings.Cut(rest, "\n")
	return signed && digest == unitDigest(body)
}

func unitDigest(body string) string {
	sum := sha256.Sum256([]byte(body))
	return hex.EncodeToString(sum[:])
}

// unitWord is one word of a command line: see systemd.service(5).
func unitWord(text string) string { return unitPath(strings.ReplaceAll(text, "$", "$$")) }

// unitPercent is a setting that is one text, blanks and quotes and all.
func unitPercent(text string) string { return strings.ReplaceAll(text, "%", "%%") }

// unitPath is one of several paths of a setting.
func unitPath(text string) string {
	text = unitPercent(text)
	if !strings.ContainsAny(text, " \t\"'\\;") {
		return text
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}
