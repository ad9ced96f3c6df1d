package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdSSHD starts a real sshd on the port of a node, which lets in who has the key
// of the file client; sets $SSH, and writes known_hosts.
func cmdSSHD(ts *testscript.TestScript, neg bool, words []string) {
	args(ts, neg, len(words) == 1, "sshd NODE")
	l := labOf(ts)
	me, err := user.Current()
	ts.Check(err)
	for _, name := range []string{"host", "client"} {
		out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(l.work, name)).CombinedOutput()
		if err != nil {
			ts.Fatalf("ssh-keygen: %v: %s", err, out)
		}
	}
	addr := l.addr(ts, words[0])
	host, port, _ := net.SplitHostPort(addr)
	config := fmt.Sprintf("ListenAddress %s\nHostKey %[2]s/host\nAuthorizedKeysFile %[2]s/client.pub\nPidFile none\nStrictModes no\n"+
		"PasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\nPermitRootLogin yes\n", addr, l.work)
	ts.Check(os.WriteFile(filepath.Join(l.work, "sshd_config"), []byte(config), 0o600))
	known := fmt.Sprintf("[%s]:%s %s", host, port, ts.ReadFile("host.pub"))
	ts.Check(os.WriteFile(filepath.Join(l.work, "known_hosts"), []byte(known), 0o600))
	if me.Uid == "0" {
		ts.Check(os.MkdirAll("/run/sshd", 0o755)) // where root's sshd locks itself up
	}
	program := "/usr/sbin/sshd" // it insists on an absolute path
	if found, err := exec.LookPath("sshd"); err == nil {
		program = found
	}
	cmd := exec.Command(program, "-D", "-e", "-f", filepath.Join(l.work, "sshd_config"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	ts.Check(cmd.Start())
	ts.Defer(func() { _ = cmd.Process.Signal(syscall.SIGTERM); _ = cmd.Wait() })
	until(ts, func() error {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			_ = conn.Close()
		}
		return err
	})
	ts.Setenv("SSH", fmt.Sprintf("ssh://%s@%s%s", me.Username, addr, l.work))
}
