package main

import (
	"fmt"
	"syscall"
	"unsafe"
)

// interfaceRequest is struct ifreq of netdevice(7) with an IPv4 address.
type interfaceRequest struct {
	name   [16]byte
	family uint16
	port   uint16
	ip     [4]byte
	_      [16]byte
}

// loopback brings the namespace's loopback up and gives it 10.0.0.1. The class A
// netmask that comes with it makes all of 10.0.0.0/8 answer here, while 10.0.0.1
// alone is an address of an interface: to rsm the rest are other machines.
func loopback() error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open socket: %w", err)
	}
	defer syscall.Close(fd)
	var up struct {
		name  [16]byte
		flags uint16
		_     [22]byte
	}
	copy(up.name[:], "lo")
	up.flags = syscall.IFF_UP
	if err := ioctl(fd, syscall.SIOCSIFFLAGS, unsafe.Pointer(&up)); err != nil {
		return fmt.Errorf("bring up loopback: %w", err)
	}
	request := interfaceRequest{family: syscall.AF_INET, ip: [4]byte{10, 0, 0, 1}}
	copy(request.name[:], "lo:1")
	if err := ioctl(fd, syscall.SIOCSIFADDR, unsafe.Pointer(&request)); err != nil {
		return fmt.Errorf("add loopback address: %w", err)
	}
	return nil
}

func ioctl(fd int, request uintptr, arg unsafe.Pointer) error {
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), request, uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}
