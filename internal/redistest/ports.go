package redistest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// Below the range from which Linux takes the ports of outgoing connections
// (net.ipv4.ip_local_port_range, 32768 and up), so that no client takes a port
// between the moment it is picked and the moment a server listens on it.
const firstPort, lastPort = 12000, 32000

// Ports picks n loopback ports that are free and that no other test, of this
// process or another, gets before t ends.
func Ports(t testing.TB, n int) []int {
	t.Helper()
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("rsm-test-ports-%d", os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	var ports []int
	for range 10_000 {
		if len(ports) == n {
			return ports
		}
		port := firstPort + rand.IntN(lastPort-firstPort)
		if claim(t, dir, port) {
			ports = append(ports, port)
		}
	}
	t.Fatal("no free loopback ports")
	return nil
}

// claim holds a lock on the port until the test ends.
func claim(t testing.TB, dir string, port int) bool {
	file, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(port)), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil || !free(port) {
		_ = file.Close()
		return false
	}
	t.Cleanup(func() { _ = file.Close() })
	return true
}

func free(port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return l.Close() == nil
}
