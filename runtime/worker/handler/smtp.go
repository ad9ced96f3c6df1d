package handler

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"os"
	"strings"
	"time"

	"github.com/wneessen/go-mail/smtp"

	"rsm/internal/fill"
	"rsm/schema"
)

// stepTime bounds each step of a conversation that has no limit of its own.
const stepTime = 10 * time.Second

// stepConn gives the other side so long to answer to each line, and to take each
// block of data. A reply that comes in drops does not extend that.
type stepConn struct {
	net.Conn
	limit time.Duration
	read  int
}

// maxReplies is how many bytes a server may say in one conversation.
const maxReplies = 1 << 20

// Read fails when the server has said too much.
func (c *stepConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.read += n; c.read > maxReplies {
		return 0, fmt.Errorf("it says more than %s", fill.Bytes(maxReplies))
	}
	return n, err
}

// Write starts the time for the reply.
func (c *stepConn) Write(p []byte) (int, error) {
	if err := c.Conn.SetDeadline(time.Now().Add(c.limit)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// sendMail speaks SMTP (RFC 5321) with the server. A mail whose end got no reply
// may have arrived; the next attempt has the same Message-ID.
func (r *run) sendMail(ctx context.Context, e *schema.Email, l letter) (said string, err error) {
	client, raw, err := r.dialMail(ctx, e)
	if err != nil {
		return "", smtpVerdict(ctx, e, "connect", err)
	}
	defer raw.Close()
	// Not by the client, whose Close waits for the reply that it waits for.
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	defer stop()
	if step, err := r.greet(client, e); err != nil {
		return "", smtpVerdict(ctx, e, step, err)
	}
	// A mail that is marked as UTF-8 bounces where the next server does not know that.
	client.SkipSMTPUTF8(!strings.ContainsFunc(l.envelope+strings.Join(l.to, ""), func(r rune) bool { return r > '~' }))
	if err := client.Mail(angle(l.envelope)); err != nil {
		return "", smtpVerdict(ctx, e, "sender "+l.envelope, err)
	}
	refused, err := recipients(client, l.to)
	if err != nil {
		return "", smtpVerdict(ctx, e, "recipient", err)
	}
	said, err = deliver(client, l.content)
	if err != nil {
		return "", smtpVerdict(ctx, e, "data", err)
	}
	_ = client.Quit() // it has the mail
	return join2(said, refused), nil
}

// angle is an address as a command has it. go-mail does not put the brackets.
func angle(address string) string { return "<" + address + ">" }

// dialMail connects and reads the greeting; to close raw ends it all.
func (r *run) dialMail(ctx context.Context, e *schema.Email) (*smtp.Client, net.Conn, error) {
	host, _, err := net.SplitHostPort(e.Server)
	if err != nil {
		return nil, nil, permanent("server %q is not host:port: %w", e.Server, err)
	}
	limit := e.Timeout
	if limit <= 0 {
		limit = stepTime
	}
	dialing, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	raw, err := r.Dial(dialing, "tcp", e.Server)
	if err != nil {
		return nil, nil, err
	}
	conn := net.Conn(&stepConn{Conn: raw, limit: limit})
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	defer stop()
	if err = raw.SetDeadline(time.Now().Add(limit)); err == nil && e.TLS == "implicit" {
		var settings *tls.Config
		if settings, err = trust(e.CA, host); err == nil {
			secure := tls.Client(conn, settings)
			conn, err = secure, secure.HandshakeContext(dialing)
		}
	}
	var client *smtp.Client
	if err == nil {
		client, err = smtp.NewClient(conn, host)
	}
	if err != nil {
		_ = raw.Close()
		return nil, nil, err
	}
	return client, raw, nil
}

// greet says hello, secures the connection and logs in. step names what failed.
func (r *run) greet(client *smtp.Client, e *schema.Email) (step string, err error) {
	host, _, _ := net.SplitHostPort(e.Server)
	if err := client.Hello(heloName()); err != nil {
		return "hello", err
	}
	if e.TLS == "starttls" {
		if offered, _ := client.Extension("STARTTLS"); !offered {
			return "starttls", errors.New("it does not offer STARTTLS, and without it nothing is sent")
		}
		settings, err := trust(e.CA, host)
		if err == nil {
			err = client.StartTLS(settings)
		}
		if err != nil {
			return "starttls", err
		}
	}
	if e.Username == "" && e.Password == nil {
		return "", nil
	}
	password, err := r.secrets.get(e.Password)
	if err != nil {
		return "log in", err
	}
	how, err := mechanism(client, e.Username, password, host)
	if err == nil {
		err = client.Auth(how)
	}
	return "log in as " + e.Username, err
}

// mechanism picks how to log in of what the server offers. Without TLS a password
// is not sent in the clear, but to this host.
func mechanism(client *smtp.Client, user, password, host string) (smtp.Auth, error) {
	ok, offers := client.Extension("AUTH")
	if !ok {
		return nil, permanent("it does not offer to log in (AUTH)")
	}
	clear := []string{"PLAIN", "LOGIN"}
	proofs := []string{"SCRAM-SHA-256", "SCRAM-SHA-1", "CRAM-MD5"}
	order := append(proofs, clear...)
	if _, secure := client.TLSConnectionState(); secure {
		order = append(clear, proofs...)
	}
	offered := strings.Fields(strings.ToUpper(offers))
	for _, name := range order {
		for _, offer := range offered {
			if offer != name {
				continue
			}
			switch name {
			case "PLAIN":
				return smtp.PlainAuth("", user, password, host, false), nil
			case "LOGIN":
				return smtp.LoginAuth(user, password, host, false), nil
			case "CRAM-MD5":
				return smtp.CRAMMD5Auth(user, password), nil
			case "SCRAM-SHA-1":
				return smtp.ScramSHA1Auth(user, password), nil
			case "SCRAM-SHA-256":
				return smtp.ScramSHA256Auth(user, password), nil
			}
		}
	}
	return nil, permanent("it offers to log in by %s; rsm knows %s", offers, strings.Join(order, ", "))
}

// recipients names who gets it. Those refused for good are told, unless that is
// all; when one is refused for now, nobody gets it yet.
func recipients(client *smtp.Client, to []string) (refused string, err error) {
	taken := 0
	var last error
	for _, one := range to {
		err := client.Rcpt(angle(one))
		var reply *textproto.Error
		switch {
		case err == nil:
			taken++
		case errors.As(err, &reply) && reply.Code >= 500:
			last = fmt.Errorf("%s: %w", one, err)
			refused = join2(refused, "refused for "+last.Error())
		default:
			return "", fmt.Errorf("%s: %w", one, err)
		}
	}
	if taken == 0 {
		return "", last
	}
	return refused, nil
}

// deliver sends the mail and returns what the server says to it.
func deliver(client *smtp.Client, content []byte) (said string, err error) {
	out, err := client.Data()
	if err != nil {
		return "", err
	}
	if _, err = out.Write(content); err != nil {
		return "", err
	}
	if err = out.Close(); err != nil {
		return "", err
	}
	if d, ok := out.(*smtp.DataCloser); ok {
		said = d.ServerResponse()
	}
	return "250 " + said, nil
}

// smtpVerdict says what failed, and whether another try may do better: only what
// the server refuses with 5xx is final (RFC 5321 §4.2.1).
func smtpVerdict(ctx context.Context, e *schema.Email, step string, err error) error {
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	var reply *textproto.Error
	final := errors.As(err, &reply) && reply.Code >= 500 || errors.Is(err, smtp.ErrUnencrypted)
	var v *verdict
	if errors.As(err, &v) {
		final = v.permanent
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("no answer in time: %w", err)
	}
	err = fmt.Errorf("mail server %s: %s: %w", e.Server, step, err)
	if final {
		return permanent("%w", err)
	}
	return err
}

// heloName is the name of this host as EHLO takes it.
func heloName() string {
	name, err := os.Hostname()
	if err != nil || name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "localhost"
	}
	return name
}

// trust is how a TLS server proves that it is host: by the CAs in a PEM file, or
// by those of the system.
func trust(ca, host string) (*tls.Config, error) {
	settings := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if ca == "" {
		return settings, nil
	}
	content, err := os.ReadFile(ca)
	if err != nil {
		return nil, fmt.Errorf("read CA: %w", err)
	}
	settings.RootCAs = x509.NewCertPool()
	if !settings.RootCAs.AppendCertsFromPEM(content) {
		return nil, permanent("CA %s holds no certificate in PEM", ca)
	}
	return settings, nil
}
