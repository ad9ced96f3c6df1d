package proxy_test

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"rsm/internal/redistest"
	"rsm/runtime/proxy"
)

// halves are beginnings of what a client has to say before it is served: of a PROXY
// header to the first listener, and of a TLS handshake to the third.
func halves() map[string]struct {
	listener int
	half     []byte
} {
	header := proxyHeader(1, 0x11, addresses("203.0.113.9:4711"))
	hello := append([]byte{0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3}, make([]byte, 40)...)
	return map[string]struct {
		listener int
		half     []byte
	}{
		"no header":           {0, nil},
		"half a header":       {0, header[:7]},
		"a header, no end":    {0, header[:len(header)-1]},
		"no hello":            {2, nil},
		"the start of hello":  {2, hello[:3]},
		"half a hello":        {2, hello},
		"a hello of one byte": {2, hello[:6]},
	}
}

// introduced is a proxy whose first listener wants a PROXY header, and the third TLS;
// serves asks each listener for something.
func introduced(t *testing.T) (p *proxy.Proxy, at []string, serves func() error) {
	t.Helper()
	_, role, a := secured(t)
	role.Proxy.Listeners[0].ProxyProtocol = true
	p = run(t, role)
	at = []string{mainAddr(role), role.Proxy.Listeners[1].Socket, string(role.Proxy.Listeners[2].Addr)}
	awaitTable(t, at[1])
	return p, at, func() error {
		proxied := dial(t, at[0])
		_, _ = proxied.conn.Write(proxyHeader(1, 0x11, addresses("203.0.113.9:4711")))
		for _, c := range []*peer{proxied, dial(t, at[1]), dial(t, at[2]).encrypt(a.config(""))} {
			c.send(pipeline("PING"))
			if got, err := c.reply(); string(got) != "+PONG\r\n" {
				return errors.Join(errors.New("PING is answered by "+string(got)), err)
			}
			_ = c.conn.Close()
		}
		return nil
	}
}

// Who does not say who it is, is cut, also who says it byte by byte. Others do not
// notice.
func TestSlowIntroductions(t *testing.T) {
	t.Parallel()
	p, at, serves := introduced(t)
	const limit = time.Second
	p.SetPatience(limit)
	began := time.Now()
	cut := make(chan string, 20)
	for name, c := range halves() {
		conn := dial(t, at[c.listener]).conn
		_ = conn.SetDeadline(began.Add(patience))
		go func() {
			for i := range c.half { // in time for every limit of silence
				_, _ = conn.Write(c.half[i : i+1])
				time.Sleep(limit / 2 / time.Duration(len(c.half)))
			}
			got, err := io.ReadAll(conn)
			if took := time.Since(began); err != nil || len(got) > 0 || took < limit*9/10 || took > limit+5*time.Second {
				name += ": it gets " + string(got) + " after " + took.String()
				cut <- errors.Join(errors.New(name), err).Error()
				return
			}
			cut <- ""
		}()
	}
	for ended := 0; ended < len(halves()); {
		asked := time.Now()
		if err := serves(); err != nil || time.Since(asked) > limit {
			t.Errorf("others were served in %s: %v", time.Since(asked), err)
		}
		select {
		case wrong := <-cut:
			if ended++; wrong != "" {
				t.Error(wrong)
			}
		default:
		}
	}
}

// How many there are of those is bounded. Who is one too many is cut at once, and who
// was served before goes on.
func TestCrowdWithoutIntroduction(t *testing.T) {
	t.Parallel()
	p, at, serves := introduced(t)
	p.SetPatience(time.Minute)
	inside := dial(t, at[1])
	var crowd []net.Conn
	for range proxy.HallSize {
		conn := dial(t, at[0]).conn
		_, _ = conn.Write(proxyHeader(1, 0x11, nil)[:7])
		crowd = append(crowd, conn)
	}
	for range 20 {
		late := dial(t, at[0])
		late.send(nil)
		if replies, err := late.rest(); len(replies) > 0 || err != nil {
			t.Fatalf("one too many gets %q, %v", replies, err)
		}
	}
	for _, conn := range []net.Conn{crowd[0], crowd[len(crowd)-1]} {
		_ = conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("one of the crowd is cut: %v", err)
		}
	}
	inside.want("+PONG\r\n", "PING")
	dial(t, at[1]).want("+PONG\r\n", "PING") // no introduction is wanted there
	for _, conn := range crowd {
		_ = conn.Close()
	}
	redistest.Wait(t, patience, serves)
}
