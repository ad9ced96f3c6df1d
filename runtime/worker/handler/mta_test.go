package handler

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/mail"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"rsm/internal/redistest"
	"rsm/schema"
)

// startExim serves SMTP by Debian's Exim, one process for each connection, with
// its own spool; dir/box is a maildir.
func startExim(t *testing.T) (addr, dir string) {
	t.Helper()
	const binary = "/usr/sbin/exim4"
	if _, err := os.Stat(binary); err != nil {
		t.Fatalf("%v: scripts/setup.sh race installs it", err)
	}
	uid, gid := os.Getuid(), os.Getgid()
	if uid == 0 { // Exim never delivers as root
		account, err := user.Lookup("Debian-exim")
		if err != nil {
			t.Fatal(err)
		}
		uid, _ = strconv.Atoi(account.Uid)
		gid, _ = strconv.Atoi(account.Gid)
	}
	dir = t.TempDir()
	config, err := os.ReadFile("testdata/exim.conf")
	if err == nil {
		err = errors.Join(os.Chmod(dir, 0o711), os.Chmod(filepath.Dir(dir), 0o711)) // Exim looks into it as its own user
	}
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "exim.conf")
	config = []byte(strings.NewReplacer("DIR", dir, "UID", fmt.Sprint(uid), "GID", fmt.Sprint(gid)).Replace(string(config)))
	if err := os.WriteFile(path, config, 0o644); err != nil { //nolint:gosec // Exim reads it as its own user
		t.Fatal(err)
	}
	for _, name := range []string{"spool", "box", "log"} {
		err := errors.Join(os.Mkdir(filepath.Join(dir, name), 0o700), os.Chown(filepath.Join(dir, name), uid, gid))
		if err != nil {
			t.Fatal(err)
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var visits sync.WaitGroup
	visits.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			cmd := exec.Command(binary, "-C", path, "-bs")
			// Pipes, as it takes a socket for that of inetd, which only root may use.
			cmd.Stdin, cmd.Stdout, cmd.Stderr = struct{ io.Reader }{conn}, struct{ io.Writer }{conn}, os.Stderr
			_ = cmd.Start()
			visits.Go(func() { _ = cmd.Wait(); _ = conn.Close() })
		}
	})
	t.Cleanup(func() { _ = listener.Close(); visits.Wait() })
	return listener.Addr().String(), dir
}

// A mail server of the world takes the mails, and its refusals are understood.
func TestDebianMailServer(t *testing.T) {
	t.Parallel()
	addr, dir := startExim(t)
	send := func(to ...string) (Outcome, error) {
		e := &schema.Email{Server: addr, TLS: "none", From: "Grüße <rsm@mx.test>", Envelope: "bounces@mx.test", To: to,
			Subject: "Störung auf {{ .Host }} – {{ .Fields.note }}"}
		return Run(t.Context(), schema.Handler{Name: "mail", Email: e}, eventTask(`{"note":"x\r\nBcc: thief@mx.test","message":".\n.\nfrom here"}`), secretEnv(t))
	}
	out, err := send("ops@mx.test", "nobody@mx.test")
	if err != nil || !strings.Contains(out.Delivery.Response, "no such mailbox") || !strings.HasPrefix(out.Delivery.Response, "250 OK id=") {
		t.Fatalf("%+v, %v", out, err)
	}
	var files []string
	redistest.Wait(t, 20*time.Second, func() (err error) {
		files, err = filepath.Glob(filepath.Join(dir, "box", "new", "*"))
		log, _ := os.ReadFile(filepath.Join(dir, "log", "mainlog"))
		if err == nil && (len(files) != 1 || !strings.Contains(string(log), "Completed")) {
			err = fmt.Errorf("%d mails are in the box; its log: %s", len(files), log)
		}
		return err
	})
	content, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	m, err := mail.ReadMessage(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	subject, err := new(mimeDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil || subject != "Störung auf web1 – x Bcc: thief@mx.test" || m.Header.Get("Bcc") != "" || m.Header.Get("Return-Path") != "<bounces@mx.test>" {
		t.Errorf("subject %q, %v; headers %v", subject, err, m.Header)
	}
	if !strings.Contains(string(content), "\n.\n.\nfrom here") {
		t.Errorf("dots are lost: %s", content)
	}
	var f *Failure
	if _, err := send("later@mx.test"); !errors.As(err, &f) || f.Permanent() {
		t.Errorf("a deferred receiver is %v", err)
	}
	if _, err := send("x@elsewhere.test"); !errors.As(err, &f) || !f.Permanent() || !strings.Contains(err.Error(), "relaying denied") {
		t.Errorf("a foreign receiver is %v", err)
	}
}
