package handler

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/mail"
	"os"
	"path/filepath"
	"slices"
	"strings"

	gomail "github.com/wneessen/go-mail"

	"rsm/internal/atomicfile"
	"rsm/schema"
)

// letter is a mail that is ready to go.
type letter struct {
	id       string // Message-ID without <>
	envelope string
	to       []string // addresses alone
	content  []byte
	note     string // what was amiss with its templates
}

// attachment is a file that goes with a mail.
type attachment struct {
	name, kind string
	content    []byte
}

// email sends the message by e, or writes it to the spool.
func (r *run) email(ctx context.Context, e *schema.Email, name string, files ...attachment) (string, error) {
	l, err := r.letter(e, name, files)
	if err != nil {
		return "", fmt.Errorf("write mail: %w", err)
	}
	var said string
	if toSpool(e) {
		said, err = r.spoolMail(l)
	} else {
		said, err = r.sendMail(ctx, e, l)
	}
	return join2(said, l.note), err
}

// toSpool reports whether mails are only written to the spool.
func toSpool(e *schema.Email) bool {
	return e.Server == "" || e.Server == "file" || e.Server == "spool"
}

// spoolMail writes the mail as a file. A second run writes the same file again.
func (r *run) spoolMail(l letter) (string, error) {
	path := filepath.Join(r.Spool, "mail", fileName(r.task.ID)+".eml")
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		err = atomicfile.Write(path, l.content, 0o600)
	}
	if err != nil {
		return "", fmt.Errorf("write mail to the spool: %w", err)
	}
	return "written to " + path, nil
}

// letter writes the mail. The same task gives the same Message-ID and the same
// MIME boundaries.
func (r *run) letter(e *schema.Email, name string, files []attachment) (letter, error) {
	l, m := letter{}, r.message
	from, err := address("from", e.From)
	if err != nil {
		return l, err
	}
	_, domain, _ := strings.Cut(from.Address, "@")
	// Two mailers of one report each send their own mail.
	l.id = digest(r.task.ID, name) + "@" + domain
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	msg.SetBoundary("rsm-" + digest("boundary", r.task.ID, name))
	msg.SetMessageIDWithValue(l.id)
	msg.SetDateWithValue(r.Now())
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no absence notes
	msg.SetGenHeader("X-Rsm-Task", oneLine(r.task.ID))
	msg.SetGenHeader("X-Rsm-Handler", oneLine(name))
	if m.Kind == Alerts { // the firing and the end of one group are one thread
		thread := "<" + digest("thread", m.Rule, fmt.Sprint(slices.Sorted(maps.Keys(m.Group)), m.Group)) + "@" + domain + ">"
		msg.SetGenHeader(gomail.HeaderReferences, thread)
		msg.SetGenHeader(gomail.HeaderInReplyTo, thread)
	}
	if err := l.addresses(msg, e, from); err != nil {
		return l, err
	}
	subject, text, html := r.mailText(e, &l)
	msg.Subject(subject)
	msg.SetBodyString(gomail.TypeTextPlain, text)
	msg.AddAlternativeString(gomail.TypeTextHTML, html)
	for _, file := range files {
		if err := msg.AttachReader(file.name, bytes.NewReader(file.content), gomail.WithFileContentType(gomail.ContentType(file.kind))); err != nil {
			return l, err
		}
	}
	var out bytes.Buffer
	_, err = msg.WriteTo(&out)
	l.content = out.Bytes()
	return l, err
}

// addresses sets who it is from and to. Recipients come from the spec alone: an
// event cannot choose them.
func (l *letter) addresses(msg *gomail.Msg, e *schema.Email, from *mail.Address) error {
	if err := msg.From(from.String()); err != nil {
		return permanent("from: %w", err)
	}
	l.envelope = from.Address
	if e.Envelope != "" {
		envelope, err := address("envelope", e.Envelope)
		if err != nil {
			return err
		}
		l.envelope = envelope.Address
	}
	var shown []string
	for _, one := range e.To {
		to, err := address("to", one)
		if err != nil {
			return err
		}
		shown, l.to = append(shown, to.String()), append(l.to, to.Address)
	}
	if len(l.to) == 0 {
		return permanent("to: nobody is named")
	}
	if err := msg.To(shown...); err != nil {
		return permanent("to: %w", err)
	}
	return nil
}

// mailText renders what a mail says. A template that fails does not keep the mail
// back: rsm's own takes its place, and the mail and the delivery log say so.
func (r *run) mailText(e *schema.Email, l *letter) (subject, text, html string) {
	subject = r.orBuiltin("subject", e.Subject, "subject.tmpl", renderText, l)
	text = r.orBuiltin("text", e.Text, "text.tmpl", renderText, l)
	html = r.orBuiltin("html", e.HTML, "mail.html", renderHTML, l)
	if l.note != "" {
		text += "\n" + l.note + "\n"
	}
	// Whatever an event says, a header is one line.
	return oneLine(subject), text, html
}

// orBuiltin renders a template of the spec, or rsm's own.
func (r *run) orBuiltin(part, source, own string, render func(name, source string, data any) (string, error), l *letter) string {
	if source != "" {
		out, err := render(part, source, r.message)
		if err == nil {
			return out
		}
		l.note = join2(l.note, fmt.Sprintf("handler %s: %v; rsm's own was used instead", r.handler.Name, err))
	}
	content, err := builtin.ReadFile("templates/" + own)
	if err == nil {
		var out string
		if out, err = render(own, string(content), r.message); err == nil {
			return out
		}
	}
	return fmt.Sprintf("%s (%v)", r.message.Kind, err)
}

// address reads a mail address of the spec, with or without a name.
func address(what, text string) (*mail.Address, error) {
	if strings.ContainsFunc(text, control) {
		return nil, permanent("%s: %q holds control characters", what, text)
	}
	parsed, err := mail.ParseAddress(text)
	if err != nil {
		return nil, permanent("%s: %q is no mail address: %w", what, text, err)
	}
	return parsed, nil
}

func control(r rune) bool { return r < ' ' || r == 0x7f }

// oneLine has spaces for control characters, of which a header must hold none.
func oneLine(text string) string {
	return strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if control(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "�"))), " ")
}

// digest is a short name of what parts say.
func digest(parts ...string) string {
	sum := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(sum, "%d:%s,", len(part), part)
	}
	return hex.EncodeToString(sum.Sum(nil)[:16])
}

// fileName is a name for a file of an id that may hold anything.
func fileName(id string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '_'
	}, id)
	if name == id && len(name) <= 100 && name != "" {
		return name
	}
	return name[:min(len(name), 60)] + "-" + digest(id)[:12]
}

// join2 puts two remarks together, either of which may be empty.
func join2(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "; " + b
}
