package schema

import (
	"net"
	"strconv"
	"strings"
)

// Addr is a TCP address "host:port", with IPv6 hosts in brackets. The zero
// value is "no address".
type Addr string

// NewAddr joins a host (an IP address or a name) and a port.
func NewAddr(host string, port int) Addr {
	return Addr(net.JoinHostPort(strings.Trim(host, "[]"), strconv.Itoa(port)))
}

// Split returns the host without brackets and the port as text, as Redis
// commands take them. Both are empty for the zero Addr.
func (a Addr) Split() (host, port string) {
	host, port, err := net.SplitHostPort(string(a))
	if err != nil {
		return "", ""
	}
	return host, port
}

// Port returns the port number, 0 when there is none.
func (a Addr) Port() int {
	_, port := a.Split()
	n, _ := strconv.Atoi(port)
	return n
}
