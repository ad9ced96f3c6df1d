package main

import (
	"bufio"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
)

// ask sends inline text to the fake server at an address and returns all that
// it answers until it has hung up.
func ask(t *testing.T, addr, commands string) string {
	t.Helper()
	client, server := net.Pipe()
	go func() {
		_ = converse(server, netip.MustParseAddrPort(addr), 2)
		_ = server.Close()
	}()
	go func() {
		for _, command := range strings.Split(commands, "\n") {
			_, _ = io.WriteString(client, bulks(strings.Fields(command)...))
		}
		_, _ = io.WriteString(client, "bye\r\n") // no command: ends the conversation
	}()
	out, err := io.ReadAll(client)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestServer(t *testing.T) {
	t.Parallel()
	master, replica, sentinel := fleetIP(1, 0), fleetIP(1, 2), fleetIP(1, 1)
	for _, test := range []struct {
		addr, commands string
		want           []string
	}{
		{master + ":6379", "info", []string{"\r\nrole:master\r\n", "slave1:ip=" + replica + ",port=6379,state=online", "redis_mode:standalone"}},
		{replica + ":6379", "INFO", []string{"\r\nrole:slave\r\n", "master_host:" + master + "\r\n", "master_link_status:up"}},
		{replica + ":6379", "CONFIG GET maxmemory\nPING\nCONFIG GET nothing",
			[]string{"*2\r\n$9\r\nmaxmemory\r\n$7\r\n8388608\r\n+PONG\r\n*0\r\n"}},
		{sentinel + ":26379", "sentinel master c0002", []string{"$2\r\nip\r\n$8\r\n" + master, "$6\r\nquorum\r\n$1\r\n2\r\n", "$4\r\n5000\r\n"}},
		{sentinel + ":26379", "SENTINEL REPLICAS c0002", []string{"*2\r\n*", fleetIP(1, 1) + ":6379", replica + ":6379"}},
		{sentinel + ":26379", "SENTINEL SENTINELS c0002", []string{"*2\r\n*", master + ":26379", replica + ":26379"}},
		{sentinel + ":26379", "SENTINEL MASTER c0001", []string{"-ERR No such master"}},
		{sentinel + ":26379", "INFO", []string{"redis_mode:sentinel", "master0:name=c0002"}},
		{sentinel + ":26379", "FLUSHALL", []string{"-ERR unknown command"}},
	} {
		got := ask(t, test.addr, test.commands)
		for _, want := range test.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s %q: no %q in\n%s", test.addr, test.commands, want, got)
			}
		}
	}
	if got := ask(t, fleetIP(2, 0)+":6379", "PING"); got != "" {
		t.Errorf("a cluster beyond the fleet answers %q", got)
	}
}

func TestIDsDiffer(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for use := range 4 {
		for cluster := range 100 {
			for node := range 3 {
				text := id(use, cluster, node)
				if len(text) != 40 || seen[text] {
					t.Fatalf("id %s: not 40 digits, or twice", text)
				}
				seen[text] = true
			}
		}
	}
}

func TestReadCommandRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"\n", "PING\r\n", "*-1\r\n", "*1\r\n$9999999999\r\n", "*1\r\n$4\r\nPI"} {
		if words, err := readCommand(bufio.NewReader(strings.NewReader(text))); err == nil {
			t.Errorf("%q is read as %q", text, words)
		}
	}
}
