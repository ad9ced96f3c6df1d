package supervise

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Unseen is the name of a listener whose process this user may not see.
const Unseen = "another process"

// Listener tells who listens on the TCP address "host:port", where host is an
// IP address; a name matches any local address. Listeners on the wildcard
// address count, and those on [::] count for IPv4 as Linux lets them take it
// unless they ask otherwise. Without the right to look into the process, pid is
// 0 and name is Unseen.
func Listener(addr string) (pid int, name string, ok bool) {
	inodes := listening(addr)
	if len(inodes) == 0 {
		return 0, "", false
	}
	for _, pid := range pids() {
		if !hasSocket(pid, inodes) {
			continue
		}
		if stat, err := readStat(pid); err == nil {
			return pid, stat.name, true
		}
	}
	return 0, Unseen, true
}

// listening returns the inodes of the sockets that listen on the address, as
// /proc/pid/fd names them.
func listening(addr string) map[string]bool {
	end := strings.LastIndexByte(addr, ':')
	if end < 0 {
		return nil
	}
	port, err := strconv.ParseUint(addr[end+1:], 10, 16)
	if err != nil {
		return nil
	}
	host, _ := netip.ParseAddr(strings.Trim(addr[:end], "[]")) // invalid for a name
	host = host.Unmap().WithZone("")
	inodes := map[string]bool{}
	for _, f := range families {
		sockets, err := ask(f.number, uint16(port))
		if err != nil {
			sockets = readTable(f.table)
		}
		for _, s := range sockets {
			if s.local.Port() == uint16(port) && covers(s.local.Addr(), host) {
				inodes["socket:["+s.inode+"]"] = true
			}
		}
	}
	return inodes
}

// socket is one that listens.
type socket struct {
	local netip.AddrPort
	inode string
}

// families are those of TCP sockets, and where /proc shows them.
var families = []struct {
	number byte
	table  string
}{
	{syscall.AF_INET, "/proc/self/net/tcp"},
	{syscall.AF_INET6, "/proc/self/net/tcp6"},
}

// readTable is for kernels that do not answer ask. It walks the table of all
// connections that there may be, which takes milliseconds.
func readTable(path string) (sockets []socket) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil // no IPv6
	}
	for line := range strings.Lines(string(text)) {
		if local, inode, ok := parseSocket(line); ok {
			sockets = append(sockets, socket{local, inode})
		}
	}
	return sockets
}

// covers reports whether a socket bound to local takes what is sent to host.
func covers(local, host netip.Addr) bool {
	return !host.IsValid() || local == host || local == netip.IPv6Unspecified() ||
		local == netip.IPv4Unspecified() && host.Is4() || host.IsUnspecified()
}

// parseSocket parses a line of /proc/net/tcp, for sockets in state LISTEN (0A).
func parseSocket(line string) (local netip.AddrPort, inode string, ok bool) {
	const localField, stateField, inodeField = 1, 3, 9
	fields := strings.Fields(line)
	if len(fields) <= inodeField || fields[stateField] != "0A" {
		return netip.AddrPort{}, "", false
	}
	host, port, _ := strings.Cut(fields[localField], ":")
	words, err := hex.DecodeString(host)
	if err != nil || len(words)%4 != 0 {
		return netip.AddrPort{}, "", false
	}
	// The kernel prints each 32-bit word of the address in the machine's byte order.
	for i := 0; i < len(words); i += 4 {
		binary.NativeEndian.PutUint32(words[i:], binary.BigEndian.Uint32(words[i:]))
	}
	ip, valid := netip.AddrFromSlice(words)
	n, err := strconv.ParseUint(port, 16, 16)
	if !valid || err != nil {
		return netip.AddrPort{}, "", false
	}
	return netip.AddrPortFrom(ip.Unmap(), uint16(n)), fields[inodeField], true
}

func hasSocket(pid int, inodes map[string]bool) bool {
	dir, err := os.Open(procPath(pid, "fd"))
	if err != nil {
		return false
	}
	defer dir.Close()
	fds, _ := dir.Readdirnames(-1)
	for _, fd := range fds {
		target, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, fd))
		if err == nil && inodes[target] {
			return true
		}
	}
	return false
}
