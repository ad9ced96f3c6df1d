package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func testUnit(t *testing.T) unit {
	t.Helper()
	binary, err := os.Executable()
	check(t, err)
	return unit{Binary: binary, Config: "/etc/rsm/service.cue", State: "/var/lib/rsm"}
}

// settings reads a unit as systemd does: sections, settings, comments.
func settings(t *testing.T, text string) map[string]string {
	t.Helper()
	found, section := map[string]string{}, ""
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		key, value, ok := strings.Cut(line, "=")
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[' && strings.HasSuffix(line, "]"):
			section = line[1:len(line)-1] + "."
		case !ok || !regexp.MustCompile(`^[A-Z][A-Za-z]+$`).MatchString(key) || section == "":
			t.Errorf("systemd does not understand %q", line)
		case found[section+key] != "":
			t.Errorf("%s is there twice", section+key)
		default:
			found[section+key] = value
		}
	}
	return found
}

func TestUnit(t *testing.T) {
	t.Parallel()
	system, user := testUnit(t), testUnit(t)
	user.User = true
	for _, u := range []unit{system, user} {
		text, err := u.text()
		check(t, err)
		got := settings(t, text)
		for key, want := range map[string]string{
			"Service.Type": "notify", "Service.KillMode": "process", "Service.OOMPolicy": "continue", "Service.Restart": "on-failure",
			"Service.ExecStart":  u.Binary + " serve --state-dir /var/lib/rsm /etc/rsm/service.cue",
			"Service.ExecReload": "/bin/kill -HUP $MAINPID", "Service.EnvironmentFile": "-/etc/rsm/environment",
			"Install.WantedBy": map[bool]string{true: "default.target", false: "multi-user.target"}[u.User],
		} {
			if got[key] != want {
				t.Errorf("%s is %q, want %q", key, got[key], want)
			}
		}
		if got["Service.WatchdogSec"] == "" || (got["Service.ProtectSystem"] == "") != u.User {
			t.Errorf("it has %v", got)
		}
		for _, never := range []string{"PrivateTmp", "MemoryDenyWriteExecute", "MemoryMax", "DynamicUser", "PrivateNetwork", "ProtectProc"} {
			if got["Service."+never] != "" {
				t.Errorf("%s would break the servers", never)
			}
		}
	}
}

// systemd itself says whether it takes the unit, where it is installed.
func TestSystemdTakesUnit(t *testing.T) {
	t.Parallel()
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		return // TestUnit has parsed it
	}
	for _, u := range []unit{{}, {User: true}} {
		u.Binary, u.Config, u.State = testUnit(t).Binary, `/etc/a "b"/50% $HOME.cue`, "/var/lib/r s m"
		text, err := u.text()
		check(t, err)
		path := filepath.Join(t.TempDir(), unitName)
		check(t, os.WriteFile(path, []byte(text), 0o600))
		args := []string{"verify", "--man=no", path}
		if u.User {
			args = append([]string{"--user"}, args...)
		}
		cmd := exec.Command(analyze, args...)
		cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+t.TempDir())
		if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), unitName) {
			t.Errorf("systemd-analyze %v: %v\n%s", args, err, out)
		}
	}
}

func TestUnitQuotes(t *testing.T) {
	t.Parallel()
	u := unit{Binary: "/opt/r s/rsm", Config: `/etc/a"b/50%.cue`, State: "/srv/$HOME"}
	text, err := u.text()
	check(t, err)
	got := settings(t, text)
	if want := `"/opt/r s/rsm" serve --state-dir /srv/$$HOME "/etc/a\"b/50%%.cue"`; got["Service.ExecStart"] != want {
		t.Errorf("it starts %s, want %s", got["Service.ExecStart"], want)
	}
	if got["Service.ReadWritePaths"] != "/srv/$HOME" {
		t.Errorf("it writes to %s", got["Service.ReadWritePaths"])
	}
	if _, err := (unit{State: "/a\nb"}).text(); err == nil {
		t.Error("a line break is taken")
	}
	for state, home := range map[string]bool{"/home/a/rsm": true, "/root": true, "/var/lib/rsm": false, "/homes": false} {
		text, err := unit{State: state}.text()
		check(t, err)
		if strings.Contains(text, "ProtectHome") == home {
			t.Errorf("state in %s: %s", state, text)
		}
	}
}

// fakeInstaller writes down what systemctl is told.
func fakeInstaller(t *testing.T, running bool) (i *installer, told *[]string, out *bytes.Buffer) {
	told, out = &[]string{}, &bytes.Buffer{}
	i = &installer{con: &console{out: out, err: out}, path: filepath.Join(t.TempDir(), "systemd", unitName), running: running}
	i.systemctl = func(args ...string) error { *told = append(*told, strings.Join(args, " ")); return nil }
	return i, told, out
}

func TestInstallAndUninstall(t *testing.T) {
	t.Parallel()
	one, err := testUnit(t).text()
	check(t, err)
	two, err := unit{Binary: "/b", Config: "/c", State: "/s"}.text()
	check(t, err)
	i, told, out := fakeInstaller(t, true)
	expect := func(what, want string, err error) {
		t.Helper()
		if got := strings.Join(*told, ", "); err != nil || got != want {
			t.Errorf("%s: systemctl is told %q, want %q (%v)", what, got, want, err)
		}
		*told = nil
	}
	expect("not now", "", i.install(one, false))
	if !strings.Contains(out.String(), "systemctl daemon-reload && systemctl enable --now rsm.service") {
		t.Errorf("it says %s", out)
	}
	expect("now", "daemon-reload, enable rsm.service, start rsm.service", i.install(one, true))
	expect("another one", "daemon-reload, enable rsm.service, restart rsm.service", i.install(two, true))
	expect("uninstall", "disable --now rsm.service, daemon-reload", i.uninstall())
	expect("uninstall again", "", i.uninstall())
	if !strings.Contains(out.String(), "There is no ") {
		t.Errorf("it says %s", out)
	}
	i.systemctl = func(...string) error { return errors.New("no") }
	if err := i.install(one, true); err == nil {
		t.Error("it is said to run")
	}
}

func TestInstallLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	one, err := testUnit(t).text()
	check(t, err)
	for name, there := range map[string]string{
		"somebody's": "[Service]\nExecStart=/bin/true\n",
		"changed":    strings.Replace(one, "RestartSec=2", "RestartSec=3", 1),
		"cut off":    one[:len(unitSigned)+10],
	} {
		i, told, _ := fakeInstaller(t, true)
		check(t, os.MkdirAll(filepath.Dir(i.path), 0o700))
		check(t, os.WriteFile(i.path, []byte(there), 0o600))
		for _, err := range []error{i.install(one, true), i.uninstall()} {
			if exitCode(err) != exitRefused {
				t.Errorf("%s: %v", name, err)
			}
		}
		if text, err := os.ReadFile(i.path); err != nil || string(text) != there || len(*told) != 0 {
			t.Errorf("%s: it is %s, and systemctl was told %v", name, text, *told)
		}
	}
}

func TestInstallWithoutSystemd(t *testing.T) {
	t.Parallel()
	one, err := testUnit(t).text()
	check(t, err)
	i, told, _ := fakeInstaller(t, false)
	if err := i.install(one, true); exitCode(err) != exitRefused {
		t.Errorf("now: %v", err)
	}
	check(t, i.install(one, false)) // for an image, say
	check(t, i.uninstall())
	if _, err := os.Stat(i.path); err == nil || len(*told) != 0 {
		t.Errorf("it stays, or systemctl was told %v", *told)
	}
}
