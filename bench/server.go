package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// The ports of every machine of the fleet.
const (
	redisPort    = 6379
	sentinelPort = 26379
)

// fleetIP is the address of one of the three machines of a cluster.
func fleetIP(cluster, node int) string {
	return fmt.Sprintf("10.%d.%d.%d", 1+node, cluster/250, 1+cluster%250)
}

// fleetNode is the inverse of fleetIP.
func fleetNode(ip netip.Addr) (cluster, node int, err error) {
	b := ip.Unmap().As4()
	if b[0] != 10 || b[1] < 1 || b[1] > 3 || b[3] < 1 || b[3] > 250 {
		return 0, 0, fmt.Errorf("no machine of the fleet has %s", ip)
	}
	return int(b[2])*250 + int(b[3]) - 1, int(b[1]) - 1, nil
}

// serve answers for all servers of a fleet until it is killed. Two listeners are
// enough: who was called is the address that the caller dialled.
func serve(clusters string, ready io.Writer) error {
	n, err := strconv.Atoi(clusters)
	if err != nil {
		return err
	}
	failed := make(chan error, 2)
	for _, port := range []int{redisPort, sentinelPort} {
		l, err := net.Listen("tcp4", fmt.Sprintf("0.0.0.0:%d", port))
		if err != nil {
			return err
		}
		go func() { failed <- acceptAll(l, n) }()
	}
	fmt.Fprintln(ready, "ready")
	return <-failed
}

func acceptAll(l net.Listener, clusters int) error {
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			if called, err := netip.ParseAddrPort(conn.LocalAddr().String()); err == nil {
				_ = converse(conn, called, clusters)
			}
		}()
	}
}

// converse answers a client as the server at the called address until the
// client hangs up.
func converse(conn io.ReadWriter, called netip.AddrPort, clusters int) error {
	cluster, node, err := fleetNode(called.Addr())
	if err != nil || cluster >= clusters {
		return errors.Join(err, errors.New("nobody lives here"))
	}
	answer := redisAnswer
	if called.Port() == sentinelPort {
		answer = sentinelAnswer
	}
	r, w := bufio.NewReader(conn), bufio.NewWriter(conn)
	for {
		words, err := readCommand(r)
		if err != nil {
			return err
		}
		if _, err := w.WriteString(answer(cluster, node, words)); err != nil {
			return err
		}
		if r.Buffered() > 0 {
			continue // the rest of a pipeline
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
}

// readCommand reads an array of bulk strings; the first two words, which name
// the command, are in upper case.
func readCommand(r *bufio.Reader) ([]string, error) {
	n, err := readLength(r, '*')
	if err != nil {
		return nil, err
	}
	words := make([]string, n)
	for i := range words {
		size, err := readLength(r, '$')
		if err != nil {
			return nil, err
		}
		word := make([]byte, size+2)
		if _, err := io.ReadFull(r, word); err != nil {
			return nil, err
		}
		words[i] = string(word[:size])
		if i < 2 {
			words[i] = strings.ToUpper(words[i])
		}
	}
	return words, nil
}

func readLength(r *bufio.Reader, kind byte) (int, error) {
	const most = 1 << 16
	line, err := r.ReadString('\n')
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(strings.TrimRight(line[1:], "\r\n"))
	if err != nil || line[0] != kind || n < 0 || n > most {
		return 0, fmt.Errorf("read command: bad line %q", line)
	}
	return n, nil
}
