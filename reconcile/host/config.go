package host

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"

	"rsm/reconcile"
	"rsm/schema"
)

// passwords are secret values, read right before they are written.
type passwords struct{ redis, sentinel string }

func readPasswords(auth schema.Auth) (p passwords, err error) {
	if auth.Password != nil {
		if p.redis, err = auth.Password.Read(); err != nil {
			return passwords{}, err
		}
	}
	if auth.SentinelPassword != nil {
		if p.sentinel, err = auth.SentinelPassword.Read(); err != nil {
			return passwords{}, err
		}
	}
	return p, nil
}

// redact takes the passwords out of a text, such as a log that quotes a line.
func (p passwords) redact(text string) string {
	for _, secret := range []string{p.redis, p.sentinel} {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "<secret>")
			text = strings.ReplaceAll(text, strings.Trim(quote(secret), `"`), "<secret>")
		}
	}
	return text
}

// ownedKeys are removed from a file when the role needs none of that key now.
var ownedKeys = []string{"replicaof", "requirepass", "masterauth", "protected-mode", "replica-announce-ip",
	"replica-announce-port", "sentinel announce-ip", "sentinel announce-port", "sentinel sentinel-pass", "pidfile"}

// directives are all that rsm wants in the role's file: the spec's, then its own.
func (h *Host) directives(a reconcile.StartRole, p passwords) []directive {
	var all []directive
	for _, key := range slices.Sorted(maps.Keys(a.Config)) {
		all = append(all, render(key, a.Config[key])...)
	}
	given := func(key string) bool {
		return slices.ContainsFunc(all, func(d directive) bool { return d.key == key })
	}
	set := func(key string, args ...string) { all = append(all, directive{key: key, args: args}) }
	ip, port := a.Role.Addr.Split()
	own := p.redis
	set("port", port)
	// Only the role's address: it is the one that others are told, and another
	// role may have the same port on another address of this machine.
	set("bind", ip)
	set("dir", h.roleDir(a.Role, "data"))
	set("daemonize", "no")
	set("logfile", "") // stdout, which is the role's log
	// The announced address is the declared one, whatever route a packet takes.
	addr, err := netip.ParseAddr(ip)
	prefix := "replica-announce-"
	if a.Role.Kind == reconcile.KindSentinel {
		prefix, own = "sentinel announce-", p.sentinel
	}
	if err == nil && !given(prefix+"ip") {
		set(prefix+"ip", ip)
		set(prefix+"port", port)
	}
	// Protected mode lets only loopback in when there is no password, which would
	// keep the declared replicas and Sentinels out.
	if !addr.IsLoopback() && own == "" && !given("protected-mode") {
		set("protected-mode", "no")
	}
	return append(all, h.roleDirectives(a, p)...)
}

// roleDirectives are the directives of only one kind of role.
func (h *Host) roleDirectives(a reconcile.StartRole, p passwords) []directive {
	var all []directive
	set := func(key string, args ...string) { all = append(all, directive{key: key, args: args}) }
	if a.Role.Kind == reconcile.KindSentinel {
		if p.sentinel != "" {
			set("requirepass", p.sentinel)
			set("sentinel sentinel-pass", p.sentinel)
		}
		return all
	}
	if a.Follow != "" {
		host, port := a.Follow.Split()
		set("replicaof", host, port)
	}
	if p.redis != "" {
		set("requirepass", p.redis)
		set("masterauth", p.redis) // also on the master: it may become a replica
	}
	return all
}

// writeConfig merges the directives into the role's file and returns the keys
// that rsm manages in it now.
func (h *Host) writeConfig(a reconcile.StartRole, p passwords, managedBefore []string) ([]string, error) {
	path := h.confPath(a.Role)
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read config: %w", err)
	}
	managed := h.directives(a, p)
	drop := append(slices.Clone(managedBefore), ownedKeys...)
	own := p.redis
	if a.Role.Kind == reconcile.KindSentinel {
		own = p.sentinel
	}
	if staleDefaultUser(text, own) {
		drop = append(drop, "user default")
	}
	if err := writeFile(path, mergeConf(text, managed, drop)); err != nil {
		return nil, fmt.Errorf("write config: %w", err)
	}
	var keys []string
	for _, d := range managed {
		keys = append(keys, d.key)
	}
	slices.Sort(keys)
	return slices.Compact(keys), nil
}

// staleDefaultUser reports whether CONFIG REWRITE left a `user default` line
// with another password than this one. Redis loads such a line after
// requirepass, so that the old password would stay.
func staleDefaultUser(text []byte, password string) bool {
	want := "nopass"
	if password != "" {
		sum := sha256.Sum256([]byte(password))
		want = "#" + hex.EncodeToString(sum[:])
	}
	for _, line := range parseConf(text) {
		if line.key == "user default" && !slices.Contains(line.args, want) {
			return true
		}
	}
	return false
}
