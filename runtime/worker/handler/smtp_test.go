package handler

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/mail"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"rsm/schema"
)

// post office: a real SMTP server that keeps what it gets.
type office struct {
	addr, ca string
	mu       sync.Mutex
	got      []parcel
	logins   []string
	// data, when set, is what it says to the end of each mail, in turn.
	data []error
	rcpt map[string]error
}

type parcel struct {
	from string
	to   []string
	mail []byte
}

type visit struct {
	*office
	parcel
	mechanisms []string
	loggedIn   bool
}

func (v *visit) AuthMechanisms() []string { return v.mechanisms }

func (v *visit) Auth(mechanism string) (sasl.Server, error) {
	check := func(user, password string) error {
		if user != "rsm" || password != "open sesame" {
			return &smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{5, 7, 8}, Message: "no such pair: " + password}
		}
		v.loggedIn = true
		v.mu.Lock()
		defer v.mu.Unlock()
		v.logins = append(v.logins, mechanism)
		return nil
	}
	if mechanism == sasl.Login {
		return &loginServer{check: check}, nil
	}
	return sasl.NewPlainServer(func(_, user, password string) error { return check(user, password) }), nil
}

// loginServer speaks LOGIN, which go-sasl only has for clients.
type loginServer struct {
	step  int
	user  string
	check func(user, password string) error
}

func (l *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	l.step++
	switch l.step {
	case 1:
		return []byte("Username:"), false, nil
	case 2:
		l.user = string(response)
		return []byte("Password:"), false, nil
	}
	return nil, true, l.check(l.user, string(response))
}

func (v *visit) Mail(from string, _ *smtp.MailOptions) error {
	if len(v.mechanisms) > 0 && !v.loggedIn {
		return smtp.ErrAuthRequired
	}
	v.from = from
	return nil
}

func (v *visit) Rcpt(to string, _ *smtp.RcptOptions) error {
	v.to = append(v.to, to)
	return v.rcpt[to]
}

func (v *visit) Data(r io.Reader) error {
	content, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.mail = content
	v.got = append(v.got, v.parcel)
	if len(v.data) > 0 {
		err, v.data = v.data[0], v.data[1:]
	}
	return err
}

func (v *visit) Reset()        { v.parcel = parcel{} }
func (v *visit) Logout() error { return nil }

func (o *office) parcels() []parcel {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.got)
}

// startOffice starts a server: secure is "implicit", "starttls" or "none".
func startOffice(t *testing.T, secure string, mechanisms ...string) *office {
	t.Helper()
	o := &office{}
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) {
		return &visit{office: o, mechanisms: mechanisms}, nil
	}))
	server.Domain, server.AllowInsecureAuth = "mx.test", true
	server.ErrorLog = quiet{}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o.addr = listener.Addr().String()
	if secure != "none" {
		server.TLSConfig, o.ca = certificate(t)
	}
	if secure == "implicit" {
		listener = tls.NewListener(listener, server.TLSConfig)
		server.TLSConfig = nil
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close(); <-done })
	return o
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

// certificate makes one for 127.0.0.1 that signs itself, and its PEM file.
func certificate(t *testing.T) (*tls.Config, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "ca.pem")
	write(t, path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, path
}

// eventTask is a direct event.
func eventTask(event string) Task {
	return Task{ID: "01J9Z0:mail", Attempt: 1, Payload: []byte(`{"handler":"mail","event":` + event + `,"event_id":"01J9Z0","type":"deploy","host":"web1","ts":"2026-03-14T12:00:00Z"}`)}
}

const firing = `{"handler":"mail","alerts":{"status":"firing","reason":"new","receiver":"mail","group":{"host":"web1"},"rule":"cpu-high","severity":"critical","alerts":[
 {"rule":"cpu-high","status":"firing","severity":"critical","labels":{"host":"web1"},"summary":"CPU of web1 at 97 % <b>","description":"above 90 % for 5m","value":97.25,"since":"2026-03-14T11:55:00Z","fired":"2026-03-14T12:00:00Z","fingerprint":"f1","event":{"cpu_usage":97.25}}]}}`

func settings(o *office, secure string) *schema.Email {
	return &schema.Email{Server: o.addr, TLS: secure, CA: o.ca, From: `"rsm at shop" <rsm@shop.example>`, To: []string{"ops@shop.example"}, Timeout: 5 * time.Second}
}

func secretEnv(t *testing.T) Env {
	return Env{Spool: t.TempDir(), Now: func() time.Time { return noon }, Cluster: "shop",
		Secret: func(s schema.Secret) (string, error) {
			return map[string]string{"pw": "open sesame", "bad": "simsim"}[s.Env], nil
		}}
}

func TestMailArrives(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		secure, login string
		mechanisms    []string
	}{{"implicit", "PLAIN", []string{"PLAIN", "LOGIN"}}, {"starttls", "LOGIN", []string{"LOGIN"}}, {"none", "PLAIN", []string{"PLAIN"}}, {"none", "", nil}} {
		t.Run(c.secure+c.login, func(t *testing.T) {
			t.Parallel()
			o := startOffice(t, c.secure, c.mechanisms...)
			e := settings(o, c.secure)
			e.Envelope, e.To = "bounces@shop.example", []string{"ops@shop.example", "Grüße <on-call@shop.example>"}
			if c.login != "" {
				e.Username, e.Password = "rsm", &schema.Secret{Env: "pw"}
			}
			out, err := Run(t.Context(), schema.Handler{Name: "mail", Email: e}, Task{ID: "n:mail:g:s", Attempt: 1, Payload: []byte(firing)}, secretEnv(t))
			if err != nil || !out.Delivery.OK || !strings.HasPrefix(out.Delivery.Response, "250") {
				t.Fatalf("%+v, %v", out, err)
			}
			p := o.parcels()[0]
			if p.from != "bounces@shop.example" || !slices.Equal(p.to, []string{"ops@shop.example", "on-call@shop.example"}) || c.login != "" && o.logins[0] != c.login {
				t.Errorf("envelope %s %v, logins %v", p.from, p.to, o.logins)
			}
			m, err := mail.ReadMessage(bytes.NewReader(p.mail))
			if err != nil {
				t.Fatal(err)
			}
			for name, want := range map[string]string{
				"From": `"rsm at shop" <rsm@shop.example>`, "Subject": "[FIRING] critical: CPU of web1 at 97 % <b> in shop", "Auto-Submitted": "auto-generated", "X-Rsm-Task": "n:mail:g:s",
				"Message-Id": "<" + digest("n:mail:g:s", "mail") + "@shop.example>", "Date": "Sat, 14 Mar 2026 12:00:00 +0000",
			} {
				if got := m.Header.Get(name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
			if body := string(p.mail); !strings.Contains(body, "text/plain") || !strings.Contains(body, "97 % &lt;b&gt;") || !strings.Contains(body, "above 90 % for 5m") {
				t.Errorf("it says %s", body)
			}
		})
	}
}

// What a server refuses for now is tried again with the same Message-ID, what it
// refuses for good is not.
func TestMailIsRefused(t *testing.T) {
	t.Parallel()
	o := startOffice(t, "none")
	o.data = []error{&smtp.SMTPError{Code: 451, Message: "greylisted"}, nil, &smtp.SMTPError{Code: 554, Message: "spam"}}
	o.rcpt = map[string]error{"later@x.example": &smtp.SMTPError{Code: 450, Message: "later"}, "never@x.example": &smtp.SMTPError{Code: 550, Message: "nobody"}}
	send := func(to ...string) (Outcome, *Failure) {
		e := settings(o, "none")
		e.To = append(to, e.To[:max(0, 1-len(to))]...)
		out, err := Run(t.Context(), schema.Handler{Name: "mail", Email: e}, eventTask(`{"a":1}`), secretEnv(t))
		var f *Failure
		errors.As(err, &f)
		return out, f
	}
	if _, f := send(); f == nil || f.Permanent() || !strings.Contains(f.Error(), "451") {
		t.Errorf("451 is %v", f)
	}
	if out, f := send(); f != nil {
		t.Errorf("the second time: %v %v", out, f)
	}
	got := o.parcels()
	id := func(p parcel) string {
		m, _ := mail.ReadMessage(bytes.NewReader(p.mail))
		return m.Header.Get("Message-Id")
	}
	if len(got) != 2 || id(got[0]) != id(got[1]) || !bytes.Equal(got[0].mail, got[1].mail) {
		t.Errorf("the second mail differs: %v", got)
	}
	if out, f := send(); f == nil || !f.Permanent() || !strings.Contains(out.Delivery.Error, "554") {
		t.Errorf("554 is %v", f)
	}
	if _, f := send("later@x.example", "ops@x.example"); f == nil || f.Permanent() || len(o.parcels()) != 3 {
		t.Errorf("450 of one receiver is %v", f)
	}
	if _, f := send("never@x.example"); f == nil || !f.Permanent() {
		t.Errorf("550 of the only receiver is %v", f)
	}
	if out, f := send("never@x.example", "ops@x.example"); f != nil || !strings.Contains(out.Delivery.Response, "refused for never@x.example: 550") {
		t.Errorf("550 of one receiver is %v, %v", out, f)
	}
}

func TestMailDoesNotLogIn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		secure, password, want string
		mechanisms             []string
		permanent              bool
	}{
		{"starttls", "bad", "535", []string{"PLAIN"}, true},
		{"starttls", "pw", "does not offer to log in", nil, true},
		{"implicit", "pw", "tls:", []string{"PLAIN"}, false}, // the server speaks STARTTLS
		{"none", "pw", "starttls", []string{"PLAIN"}, false}, // the handler wants it
	} {
		serve := map[string]string{"implicit": "starttls"}[c.secure]
		if serve == "" {
			serve = c.secure
		}
		o := startOffice(t, serve, c.mechanisms...)
		e := settings(o, c.secure)
		if c.secure == "none" {
			e.TLS = "starttls"
		}
		e.Username, e.Password = "rsm", &schema.Secret{Env: c.password}
		_, err := Run(t.Context(), schema.Handler{Name: "mail", Email: e}, eventTask(`{}`), secretEnv(t))
		var f *Failure
		if !errors.As(err, &f) || f.Permanent() != c.permanent || !strings.Contains(f.Error(), c.want) || strings.Contains(f.Error(), "simsim") {
			t.Errorf("%s: %v, want %q", c.secure, err, c.want)
		}
		if len(o.parcels()) > 0 {
			t.Errorf("%s: it sent all the same", c.secure)
		}
	}
}

// A server that stops to answer, at any step, does not hold the worker up; neither
// does one that answers in drops, or the end of the context.
func TestMailServerHangs(t *testing.T) {
	t.Parallel()
	script := []struct{ command, reply string }{
		{"", "220 hi\r\n"}, {"EHLO", "250 hi\r\n"}, {"MAIL", "250 ok\r\n"}, {"RCPT", "250 ok\r\n"}, {"DATA", "354 go\r\n"}, {".", "250 ok\r\n"},
	}
	for hang := range script {
		for _, drops := range []bool{false, true} {
			t.Run(script[hang].command, func(t *testing.T) {
				t.Parallel()
				listener, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				defer listener.Close()
				go func() {
					conn, err := listener.Accept()
					if err != nil {
						return
					}
					defer conn.Close()
					for i := range script {
						if i > 0 && !readTo(conn, script[i].command) {
							return
						}
						if i == hang {
							for drops {
								if _, err := conn.Write([]byte("2")); err != nil {
									return
								}
								time.Sleep(20 * time.Millisecond)
							}
							_, _ = io.Copy(io.Discard, conn)
							return
						}
						_, _ = conn.Write([]byte(script[i].reply))
					}
				}()
				e := &schema.Email{Server: listener.Addr().String(), TLS: "none", From: "rsm@shop.example", To: []string{"a@shop.example"}, Timeout: 200 * time.Millisecond}
				started := time.Now()
				_, err = Run(t.Context(), schema.Handler{Name: "mail", Email: e}, eventTask(`{}`), secretEnv(t))
				var f *Failure
				if took := time.Since(started); !errors.As(err, &f) || f.Permanent() || took > 3*time.Second || !drops && !strings.Contains(f.Error(), "no answer in time") {
					t.Errorf("after %v: %v", took, err)
				}
			})
		}
	}
	for _, secure := range []string{"implicit", "none"} {
		t.Run("the end of the context, "+secure, func(t *testing.T) {
			t.Parallel()
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			go func() {
				for {
					conn, err := listener.Accept()
					if err != nil {
						return
					}
					defer conn.Close()
					if secure == "none" {
						_, _ = io.WriteString(conn, "220 hi\r\n")
					}
				}
			}()
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			e := &schema.Email{Server: listener.Addr().String(), TLS: secure, From: "rsm@shop.example", To: []string{"a@shop.example"}, Timeout: 5 * time.Second}
			started := time.Now()
			_, err = Run(ctx, schema.Handler{Name: "mail", Email: e}, eventTask(`{}`), secretEnv(t))
			if took := time.Since(started); !errors.Is(err, context.DeadlineExceeded) || took > 3*time.Second {
				t.Errorf("it ends after %v with %v", took, err)
			}
		})
	}
}

// A server that never comes to an end does not fill the memory.
func TestMailServerTalksOn(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		conn, err := listener.Accept()
		for err == nil {
			_, err = io.WriteString(conn, strings.Repeat("220-and another thing\r\n", 100))
		}
	}()
	e := &schema.Email{Server: listener.Addr().String(), TLS: "none", From: "rsm@shop.example", To: []string{"a@shop.example"}}
	_, err = Run(t.Context(), schema.Handler{Name: "mail", Email: e}, eventTask(`{}`), secretEnv(t))
	var f *Failure
	if !errors.As(err, &f) || f.Permanent() || !strings.Contains(f.Error(), "it says more than 1.0 MiB") {
		t.Errorf("it ends with %v", err)
	}
}

// readTo reads lines until one begins with prefix.
func readTo(conn net.Conn, prefix string) bool {
	line := []byte{}
	for one := make([]byte, 1); ; {
		if _, err := conn.Read(one); err != nil {
			return false
		}
		if line = append(line, one[0]); one[0] == '\n' {
			if strings.HasPrefix(string(line), prefix) {
				return true
			}
			line = line[:0]
		}
	}
}
