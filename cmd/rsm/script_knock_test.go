package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// knocker connects again and again, for one request each time.
type knocker struct {
	stop  chan struct{}
	ended sync.WaitGroup
	count int
	err   error
}

// cmdKnock connects to a node until knocked.
func cmdKnock(ts *testscript.TestScript, neg bool, words []string) {
	args(ts, neg, len(words) == 1, "knock NODE")
	addr, k := labOf(ts).addr(ts, words[0]), &knocker{stop: make(chan struct{})}
	labOf(ts).knocks[words[0]] = k
	k.ended.Go(func() {
		for k.err == nil {
			select {
			case <-k.stop:
				return
			default:
				k.err = knock(addr)
				k.count++
				time.Sleep(time.Millisecond) // others need the processor too
			}
		}
	})
}

func knock(addr string) error {
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	reply := make([]byte, 16)
	if n, err := conn.Read(reply); err != nil || string(reply[:n]) != "+PONG\r\n" {
		return fmt.Errorf("PING is answered by %q, %w", reply[:n], err)
	}
	return nil
}

// cmdKnocked ends knock: every connection was accepted and answered.
func cmdKnocked(ts *testscript.TestScript, neg bool, words []string) {
	args(ts, neg, len(words) == 1, "knocked NODE")
	k := labOf(ts).knocks[words[0]]
	if k == nil {
		ts.Fatalf("nobody knocks at %s", words[0])
	}
	close(k.stop)
	k.ended.Wait()
	if k.err != nil || k.count < 50 {
		ts.Fatalf("connection %d: %v", k.count, k.err)
	}
	ts.Logf("%d connections", k.count)
}

// cmdBuild makes an rsm of another version, and the script's next rsm be that.
// It writes the version into a copy, which takes no compiler and no linker.
func cmdBuild(ts *testscript.TestScript, neg bool, words []string) {
	args(ts, neg, len(words) == 1 && len(words[0]) == len(scriptVersion), "build VERSION, as long as "+scriptVersion)
	binary, err := os.ReadFile(filepath.Join(labOf(ts).bin, "rsm"))
	ts.Check(err)
	if !bytes.Contains(binary, []byte(scriptVersion)) {
		ts.Fatalf("rsm is not of version %s", scriptVersion)
	}
	dir := filepath.Join(labOf(ts).work, "rsm-"+words[0])
	ts.Check(os.Mkdir(dir, 0o700))
	ts.Check(os.WriteFile(filepath.Join(dir, "rsm"), bytes.ReplaceAll(binary, []byte(scriptVersion), []byte(words[0])), 0o700))
	ts.Setenv("PATH", dir+":"+ts.Getenv("PATH"))
}
