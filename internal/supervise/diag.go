package supervise

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"syscall"
)

// The parts of Linux's sock_diag (sock_diag(7)) that ask needs.
const (
	netlinkSockDiag  = 4
	sockDiagByFamily = 20
	stateListen      = 10
	requestLen       = syscall.NLMSG_HDRLEN + 56 // struct inet_diag_req_v2
	replyLen         = 72                        // struct inet_diag_msg
)

// ask has the kernel tell the TCP sockets of an address family that listen on
// the port, by any address.
func ask(family byte, port uint16) ([]socket, error) {
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, netlinkSockDiag)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	defer syscall.Close(fd)
	if err := syscall.Sendto(fd, question(family, port), 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}); err != nil {
		return nil, os.NewSyscallError("sendto", err)
	}
	var sockets []socket
	buf := make([]byte, 32<<10) // the kernel's messages are no longer
	for {
		n, _, err := syscall.Recvfrom(fd, buf, 0)
		if err != nil {
			return nil, os.NewSyscallError("recvfrom", err)
		}
		messages, err := syscall.ParseNetlinkMessage(buf[:n])
		if err != nil {
			return nil, fmt.Errorf("parse sockets: %w", err)
		}
		for _, m := range messages {
			switch {
			case m.Header.Type == syscall.NLMSG_DONE:
				return sockets, outcome(m.Data)
			case m.Header.Type != sockDiagByFamily || len(m.Data) < replyLen:
				return nil, fmt.Errorf("ask for sockets: the kernel answers by message %d", m.Header.Type)
			}
			sockets = append(sockets, parseReply(m.Data))
		}
	}
}

// outcome is the error that the last message of an answer has, if any: for
// one, that the kernel has no such family.
func outcome(m []byte) error {
	if len(m) < 4 {
		return nil
	}
	if code := int32(binary.NativeEndian.Uint32(m)); code < 0 {
		return fmt.Errorf("ask for sockets: %w", syscall.Errno(-code))
	}
	return nil
}

func question(family byte, port uint16) []byte {
	q := make([]byte, requestLen)
	binary.NativeEndian.PutUint32(q[0:], requestLen)
	binary.NativeEndian.PutUint16(q[4:], sockDiagByFamily)
	binary.NativeEndian.PutUint16(q[6:], syscall.NLM_F_REQUEST|syscall.NLM_F_DUMP)
	q[16], q[17] = family, syscall.IPPROTO_TCP
	binary.NativeEndian.PutUint32(q[20:], 1<<stateListen)
	binary.BigEndian.PutUint16(q[24:], port)
	return q
}

func parseReply(m []byte) socket {
	ip := netip.AddrFrom4([4]byte(m[8:12]))
	if m[0] == syscall.AF_INET6 {
		ip = netip.AddrFrom16([16]byte(m[8:24])).Unmap()
	}
	inode := binary.NativeEndian.Uint32(m[68:])
	return socket{netip.AddrPortFrom(ip, binary.BigEndian.Uint16(m[4:])), strconv.FormatUint(uint64(inode), 10)}
}
