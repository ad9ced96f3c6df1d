package proxy_test

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rsm/internal/redistest"
	"rsm/schema"
)

// authority signs certificates for the test.
type authority struct {
	t    testing.TB
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	next int64
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir(), next: 1}
	a.cert, a.key = a.make("ca", nil)
	return a
}

// make writes NAME.crt and NAME.key: one that the authority signed, or its own.
func (a *authority) make(name string, change func(*x509.Certificate)) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	a.next++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(a.next), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true, IsCA: a.cert == nil,
	}
	if change != nil {
		change(template)
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		a.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{a.path(name + ".crt"): {Type: "CERTIFICATE", Bytes: raw}, a.path(name + ".key"): {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(raw)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

func (a *authority) path(file string) string { return filepath.Join(a.dir, file) }

// config is that of a client; without a name it shows no certificate.
func (a *authority) config(name string) *tls.Config {
	a.t.Helper()
	c := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12, ServerName: "127.0.0.1"}
	c.RootCAs.AddCert(a.cert)
	if name != "" {
		pair, err := tls.LoadX509KeyPair(a.path(name+".crt"), a.path(name+".key"))
		if err != nil {
			a.t.Fatal(err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c
}

// encrypt makes a connection TLS.
func (p *peer) encrypt(c *tls.Config) *peer {
	conn := tls.Client(p.conn, c)
	return &peer{t: p.t, conn: conn, r: bufio.NewReaderSize(conn, 64<<10)}
}

// secured is a server and a Sentinel that speak TLS with those who show a
// certificate, and a proxy that does so on both sides. It has two listeners with
// TLS: the second wants certificates.
func secured(t *testing.T) (*redistest.Server, schema.ProxyRole, *authority) {
	t.Helper()
	a := newAuthority(t)
	for _, name := range []string{"server", "proxy", "client"} {
		a.make(name, nil)
	}
	ports := redistest.Ports(t, 4)
	settings := func(port int) []string {
		return []string{
			fmt.Sprintf("tls-port %d", port), "tls-cert-file " + a.path("server.crt"), "tls-key-file " + a.path("server.key"),
			"tls-ca-cert-file " + a.path("ca.crt"), "tls-auth-clients yes", "tls-replication yes",
		}
	}
	server := redistest.Start(t, settings(ports[0])...)
	redistest.StartSentinel(t, append(settings(ports[1]), fmt.Sprintf("sentinel monitor cache 127.0.0.1 %d 1", ports[0]))...)
	role := newRole(t, string(schema.NewAddr("127.0.0.1", ports[0])), string(schema.NewAddr("127.0.0.1", ports[1])))
	role.Proxy.TLS = &schema.ClientTLS{CA: a.path("ca.crt"), Cert: a.path("proxy.crt"), Key: a.path("proxy.key")}
	for i, name := range []string{"tls", "mutual"} {
		l := schema.Listener{
			Name: name, Addr: schema.NewAddr("127.0.0.1", ports[2+i]), Read: schema.ReadMaster, Login: schema.LoginClient,
			TLS: &schema.ServerTLS{Cert: a.path("server.crt"), Key: a.path("server.key")},
		}
		if name == "mutual" {
			l.TLS.ClientCA = a.path("ca.crt")
		}
		role.Proxy.Listeners = append(role.Proxy.Listeners, l)
	}
	return server, role, a
}

// TLS to clients, to servers and to Sentinels.
func TestTLS(t *testing.T) {
	t.Parallel()
	server, role, a := secured(t)
	proxied := run(t, role)
	awaitPong(t, mainAddr(role))
	plain, encrypted, mutual := mainAddr(role), string(role.Proxy.Listeners[2].Addr), string(role.Proxy.Listeners[3].Addr)

	// Big values both ways, in the midst of a pipeline, over plain and over TLS.
	for i, p := range []*peer{dial(t, plain), dial(t, encrypted).encrypt(a.config("")), dial(t, mutual).encrypt(a.config("client"))} {
		value := strings.Repeat("0123456789abcdef", []int{1, 1, 20}[i]<<20/16)
		var request []byte
		for i := range 2000 {
			request = append(request, pipeline(fmt.Sprintf("ECHO before-%d", i))...)
		}
		request = append(append(request, command("SET", "big", value)...), pipeline("GET big", "BLPOP none 0.01", "ECHO after")...)
		p.send(request)
		for i := range 2000 {
			if got, err := p.reply(); string(got) != bulk(fmt.Sprintf("before-%d", i)) {
				t.Fatalf("reply %d: %.100q, %v", i, got, err)
			}
		}
		for _, want := range []string{"+OK\r\n", bulk(value), "*-1\r\n", bulk("after")} {
			if got, err := p.reply(); string(got) != want {
				t.Fatalf("%d bytes %.100q, %v; want %.100q", len(got), got, err, want)
			}
		}
	}
	server.Do("DEL", "big")

	// Half-close: all replies come.
	p := dial(t, encrypted).encrypt(a.config(""))
	_ = p.conn.SetDeadline(time.Now().Add(patience))
	_, err := p.conn.Write(bytes.Repeat(pipeline("ECHO x"), 3000))
	_ = p.conn.(*tls.Conn).CloseWrite()
	if replies, restErr := p.rest(); len(replies) != 3000 || err != nil || restErr != nil {
		t.Errorf("after a half-close: %d of 3000 replies, %v, %v", len(replies), err, restErr)
	}

	// Who does not show a certificate, shows a strange one, or speaks plain, is out.
	strange := newAuthority(t)
	strange.make("client", nil)
	foreign := strange.config("client")
	foreign.RootCAs = a.config("").RootCAs
	for name, p := range map[string]*peer{"none": dial(t, mutual).encrypt(a.config("")), "strange": dial(t, mutual).encrypt(foreign), "plain": dial(t, mutual)} {
		p.send(pipeline("PING"))
		if got, err := p.reply(); err == nil {
			t.Errorf("certificate %s: PING is answered by %q", name, got)
		}
	}

	out, err := exec.Command(need(t, "redis-cli"), "-p", portOf(mutual), "--tls", "--cacert", a.path("ca.crt"), "--cert", a.path("client.crt"),
		"--key", a.path("client.key"), "SET", "k", "v").CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "OK" {
		t.Errorf("redis-cli --tls: %q, %v", out, err)
	}

	// A renewed certificate is shown to those who come after a reload; who is there stays.
	old := dial(t, encrypted).encrypt(a.config(""))
	old.want("+PONG\r\n", "PING")
	a.make("server", func(c *x509.Certificate) { c.Subject.CommonName = "renewed" })
	if err := proxied.Reload(role); err != nil {
		t.Fatal(err)
	}
	renewed := dial(t, encrypted).encrypt(a.config(""))
	renewed.want("+PONG\r\n", "PING")
	if name := renewed.conn.(*tls.Conn).ConnectionState().PeerCertificates[0].Subject.CommonName; name != "renewed" {
		t.Errorf("after a reload the certificate is %s", name)
	}
	old.want("+PONG\r\n", "PING")
	// One that cannot be read changes nothing.
	if err := os.WriteFile(a.path("server.key"), []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := proxied.Reload(role); err == nil || !strings.Contains(err.Error(), "load certificate") {
		t.Errorf("a broken key is taken: %v", err)
	}
	dial(t, encrypted).encrypt(a.config("")).want("+PONG\r\n", "PING")
}

// A client that does not read its replies over TLS does not make the proxy hold
// them all.
func TestTLSBackpressure(t *testing.T) {
	t.Parallel()
	_, role, a := secured(t)
	run(t, role)
	awaitPong(t, mainAddr(role))
	encrypted := string(role.Proxy.Listeners[2].Addr)
	p := dial(t, encrypted).encrypt(a.config(""))
	p.want("+OK\r\n", "SET", "v", strings.Repeat("x", 1<<20))
	p.want("+OK\r\n", "WATCH", "none") // a connection of its own, on which replies can wait
	_ = p.conn.SetDeadline(time.Now().Add(patience))
	if _, err := p.conn.Write(bytes.Repeat(pipeline("GET v"), 60)); err != nil {
		t.Fatal(err)
	}
	watcher := dial(t, encrypted).encrypt(a.config(""))
	for range 5 { // others are served meanwhile
		watcher.want("+PONG\r\n", "PING")
		watcher.want("$1048576\r\n"+strings.Repeat("x", 1<<20)+"\r\n", "GET", "v")
	}
	for i := range 60 {
		if got, err := p.reply(); len(got) != 1<<20+12 {
			t.Fatalf("reply %d has %d bytes, %v", i, len(got), err)
		}
	}
	p.want("+PONG\r\n", "PING")
}
