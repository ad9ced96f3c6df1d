package resp

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"
)

func TestSendReceive(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	defer far.Close()
	conn, server := NewConn(near), NewConn(far)
	defer conn.Close()
	soon := time.Now().Add(5 * time.Second)

	sent := make(chan error, 1)
	go func() { sent <- conn.Send(soon, []string{"ROLE"}, []string{"PING", "x"}) }()
	for _, want := range []int{1, 2} {
		args, err := ReadCommand(server.r)
		if err != nil || len(args) != want {
			t.Fatalf("got %q, %v; want %d words", args, err, want)
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}

	go func() { _, _ = far.Write([]byte("-ERR no\r\n+OK\r\n")) }()
	for _, want := range []any{Error("ERR no"), "OK"} {
		if got, err := conn.Receive(soon); err != nil || got != want {
			t.Fatalf("got %v, %v; want %v", got, err, want)
		}
	}
	if _, err := conn.Receive(time.Now().Add(time.Millisecond)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("got %v, want a deadline error", err)
	}
}
