package ports

import (
	"net"
	"strconv"
	"testing"
)

func TestBlock(t *testing.T) {
	t.Parallel()
	base, err := Block(12)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(base+5)))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if busy := firstBusy(base, 12); busy != base+5 {
		t.Errorf("busy port is %d, want %d", busy, base+5)
	}
	if next := search(base, 12); next != 0 && next <= base+5 {
		t.Errorf("search found %d, across the busy port %d", next, base+5)
	}
	if _, err := Block(40000); err == nil {
		t.Error("found 40,000 free ports below 32,000")
	}
}
