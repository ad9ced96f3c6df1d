package source

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// sshd starts a real one for this user on loopback, with keys of its own.
func (w *world) sshd() Config {
	w.Helper()
	me, err := user.Current()
	if err != nil {
		w.Fatal(err)
	}
	key := func(name string) string {
		path := filepath.Join(w.dir, name)
		w.run("", "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", path)
		return path
	}
	host, client := key("host"), key("client")
	probe, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.Fatal(err)
	}
	port := probe.Addr().(*net.TCPAddr).Port
	_ = probe.Close()
	config := fmt.Sprintf("ListenAddress 127.0.0.1:%d\nHostKey %s\nAuthorizedKeysFile %s.pub\nPidFile none\nStrictModes no\n"+
		"PasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\nPermitRootLogin yes\n", port, host, client)
	w.must(os.WriteFile(filepath.Join(w.dir, "sshd_config"), []byte(config), 0o600))
	public, err := os.ReadFile(host + ".pub")
	w.must(err)
	known := fmt.Sprintf("[127.0.0.1]:%d %s", port, public)
	w.must(os.WriteFile(filepath.Join(w.dir, "known_hosts"), []byte(known), 0o600))

	program := "/usr/sbin/sshd" // it insists on an absolute path
	if found, err := exec.LookPath("sshd"); err == nil {
		program = found
	}
	if me.Uid == "0" {
		w.must(os.MkdirAll("/run/sshd", 0o755)) // where root's sshd locks itself up
	}
	var log strings.Builder
	cmd := exec.Command(program, "-D", "-e", "-f", filepath.Join(w.dir, "sshd_config"))
	cmd.Stderr = &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	w.must(cmd.Start())
	w.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if w.Failed() {
			w.Log(log.String())
		}
	})
	address := fmt.Sprintf("127.0.0.1:%d", port)
	deadline := time.Now().Add(10 * time.Second)
	for {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
			break
		}
		if time.Now().After(deadline) {
			w.Fatal("sshd does not listen")
		}
		time.Sleep(5 * time.Millisecond)
	}
	return Config{
		URL:  fmt.Sprintf("ssh://%s@%s%s", me.Username, address, w.bare),
		Auth: Auth{SSHKey: client, KnownHosts: filepath.Join(w.dir, "known_hosts")},
	}
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}
