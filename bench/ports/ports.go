// Package ports finds loopback ports for the servers that are measured.
package ports

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports are taken from this range, which lies below the one that the kernel hands
// out to clients (net.ipv4.ip_local_port_range).
const from, to = 15000, 32000

// Block returns the first of n loopback ports in a row that nobody listens on. It
// looks from a random place on, so that two runs at once hardly meet.
func Block(n int) (int, error) {
	if room := to - from - n; room > 0 {
		if base := search(from+rand.IntN(room), n); base > 0 {
			return base, nil
		}
	}
	if base := search(from, n); base > 0 {
		return base, nil
	}
	return 0, fmt.Errorf("find %d free ports in a row between %d and %d: there are none", n, from, to)
}

func search(base, n int) int {
	for base+n <= to {
		busy := firstBusy(base, n)
		if busy == 0 {
			return base
		}
		base = busy + 1
	}
	return 0
}

// firstBusy is the first of n ports from base on that cannot be listened on, 0
// when all can.
func firstBusy(base, n int) int {
	for port := base; port < base+n; port++ {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			return port
		}
		_ = l.Close()
	}
	return 0
}
