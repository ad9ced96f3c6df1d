package schema

import (
	"errors"
	htmltemplate "html/template"
	"io"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"
	"time"

	"rsm/internal/expr"
	"rsm/internal/fill"
)

// credential is what names of variables, headers and parameters end with whose
// values are secrets.
var credential = regexp.MustCompile(`(?i)(password|passwd|secret|token|api[_-]?key|authorization|cookie)$`)

// condition checks an expression that is true or false.
func (d *decoder) condition(path, text string) {
	if text == "" {
		return // left out, or reported already
	}
	if _, err := expr.Condition(text); err != nil {
		d.report(CodeExpression, path, false, "%v", err).Hint = "the numbers are the line and the column in the expression" + celHint(err.Error())
	}
}

// celHint is what CEL writes for what other languages write.
func celHint(message string) string {
	for other, own := range map[string]string{
		"input 'and'": "CEL writes && for and", "input 'or'": "CEL writes || for or", "error at: '=": "CEL compares with ==",
	} {
		if strings.Contains(message, other) {
			return "; " + own
		}
	}
	return ""
}

// template checks the syntax of a template, and for HTML that values are where they
// can be escaped.
func (d *decoder) template(path, text string, html bool) {
	stubs := template.FuncMap{}
	for name := range fill.Functions() {
		stubs[name] = func(...any) string { return "" }
	}
	var err error
	if html {
		var t *htmltemplate.Template
		if t, err = htmltemplate.New("").Funcs(htmltemplate.FuncMap(stubs)).Parse(text); err == nil {
			// Without data most templates fail; what cannot be escaped is told before.
			var unsafe *htmltemplate.Error
			if ran := t.Execute(io.Discard, nil); errors.As(ran, &unsafe) {
				err = unsafe
			}
		}
	} else {
		_, err = template.New("").Funcs(stubs).Parse(text)
	}
	if err != nil {
		message, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(err.Error(), "html/"), "template: "), ": {state")
		if after, ok := strings.CutPrefix(message, ":"); ok {
			message = "line " + after
		}
		d.report(CodeTemplate, path, false, "%s", message)
	}
}

// alertFields are what templates of rules see.
type alertFields struct {
	Rule, Severity, Host, Status string
	Labels                       map[string]string
	Value                        any
	Event                        map[string]any
	Since, Fired, Ended          time.Time
}

// noField is what a template says that asks for a field which is not there.
var noField = regexp.MustCompile(`can't evaluate field (\w+) in type \S*alertFields`)

// alertTemplate checks a template, also that it asks for no field that there is not,
// as far as it comes to that without an alert.
func (d *decoder) alertTemplate(path, text string) {
	d.template(path, text, false)
	stubs := template.FuncMap{}
	for name := range fill.Functions() {
		stubs[name] = func(...any) string { return "" }
	}
	t, err := template.New("").Funcs(stubs).Parse(text)
	if err != nil {
		return // reported already
	}
	ran := t.Execute(io.Discard, alertFields{})
	if ran == nil {
		return
	}
	if found := noField.FindStringSubmatch(ran.Error()); found != nil {
		p := d.report(CodeTemplate, path, false, "alerts have no field .%s", found[1])
		names := split("Rule Severity Host Status Labels Value Event Since Fired Ended")
		p.Hint = "they have ." + strings.Join(names, ", .")
		if meant := nearest(found[1], names); meant != "" {
			p.Hint = "did you mean ." + meant + "?"
		}
	}
}

func (d *decoder) checkZone(path, zone string) {
	if _, err := time.LoadLocation(zone); err != nil || zone == "Local" {
		d.report(CodeZone, path, false, "there is no time zone %q", zone).Hint =
			`write a name of the IANA database, such as "Europe/Berlin", or "UTC"`
	}
}

// checkURL refuses an address that cannot be used, and a password in it.
func (d *decoder) checkURL(path, text, instead string) {
	if text == "" {
		return
	}
	u, err := url.Parse(text)
	if err == nil && u.Hostname() == "" {
		err = errors.New("it has no host")
	}
	if err != nil {
		d.secretURL(text)
		d.report(CodeValue, path, false, "it is no address of the web").Hint = "write for example \"https://example.org/hook\""
		return
	}
	_, password := u.User.Password()
	for name := range u.Query() {
		password = password || credential.MatchString(name)
	}
	if password {
		d.secretURL(text)
		d.report(CodeSecret, path, false, "a password must not be written in an address (it is *** here)").Hint = instead
	}
}

// secretURL hides an address that may hold a secret.
func (d *decoder) secretURL(text string) { d.walker.secrets[text] = true }

// literal refuses values under names that are those of secrets.
func (d *decoder) literal(path string, values map[string]string, instead string) {
	for name, value := range values {
		if credential.MatchString(name) && value != "" {
			d.walker.secrets[value] = true
			d.report(CodeSecret, join(path, name), false, "a secret must not be written in a spec (it is *** here)").Hint =
				"write it under " + instead + `, as {env: "NAME"} or {file: "PATH"}, and change it: git remembers this one`
		}
	}
}

func (d *decoder) checkCommand(path string, e Exec, fields map[string]any) {
	list, _ := fields["command"].([]any)
	switch {
	case list == nil: // reported already
	case len(e.Argv) != len(list):
	case len(e.Argv) == 0 || e.Argv[0] == "":
		d.report(CodeOperations, path+".command", true, "there is nothing to run")
	case strings.Contains(e.Argv[0], "/") && !filepath.IsAbs(e.Argv[0]):
		d.report(CodeOperations, element(path+".command", 0), false, "%q is neither an absolute path nor a name to look up in PATH", e.Argv[0])
	case slices.ContainsFunc(e.Argv, func(arg string) bool { return strings.Contains(arg, "\x00") }):
		d.report(CodeLineBreak, path+".command", false, "an argument has a NUL byte")
	}
	d.literal(path+".env", e.Env, "secrets")
	for name := range e.Env {
		if _, twice := e.Secrets[name]; twice {
			d.report(CodeOperations, join(path+".secrets", name), true, "env has %s already", name)
		}
	}
}

func (d *decoder) checkEmail(path string, e *Email, fields map[string]any) {
	for _, name := range []string{"tls", "ca", "username", "password", "timeout"} {
		if e.Server == spooled && fields[name] != nil {
			d.report(CodeOperations, path+"."+name, true, "it has no effect without a server")
		}
	}
	switch {
	case e.Server == spooled:
	case e.Username != "" && e.Password == nil && !d.written(path+".password"):
		d.report(CodeOperations, path+".username", true, "it needs password")
	case e.Password != nil && e.Username == "":
		d.report(CodeOperations, path+".password", true, "it needs username")
	case e.Password != nil && e.TLS == "none" && !ownMachine(e.Server):
		d.report(CodeOperations, path+".tls", false, "the password would be sent to another machine unencrypted")
	}
	if e.CA != "" && e.TLS == "none" && e.Server != spooled {
		d.report(CodeOperations, path+".ca", true, `it has no effect with tls: "none"`)
	}
	d.mailbox(path+".from", e.From)
	d.mailbox(path+".envelope", e.Envelope)
	if list, ok := fields["to"].([]any); ok {
		for i, entry := range list {
			text, _ := entry.(string)
			d.mailbox(element(path+".to", i), text)
		}
		if len(list) == 0 {
			d.report(CodeOperations, path+".to", true, "nobody gets the mail")
		}
	}
	d.template(path+".subject", e.Subject, false)
	d.template(path+".text", e.Text, false)
	d.template(path+".html", e.HTML, true)
}

func (d *decoder) mailbox(path, text string) {
	if _, err := mail.ParseAddress(text); err != nil && text != "" {
		d.report(CodeValue, path, false, "%q is no mail address: %s", text, strings.TrimPrefix(err.Error(), "mail: "))
	}
}

// ownMachine tells whether a server is this machine.
func ownMachine(server string) bool {
	host, _, _ := net.SplitHostPort(server)
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

func (d *decoder) checkWebhook(path string, w *Webhook, fields map[string]any) {
	if d.given(path, fields, "to") == d.given(path, fields, "url") {
		d.report(CodeOperations, path, true, "give exactly one of to and url")
	}
	d.checkURL(path+".to", w.To, `write url: {env: "NAME"} or {file: "PATH"} for the whole address, and change the password`)
	d.literal(path+".headers", w.Headers, "headerSecrets")
	seen := map[string]bool{}
	for _, of := range []string{"headers", "headerSecrets"} {
		for _, name := range keys(get[map[string]any](fields, of)) {
			at := join(path+"."+of, name)
			if seen[strings.ToLower(name)] {
				d.report(CodeOperations, at, true, "%s is given twice", name)
			}
			seen[strings.ToLower(name)] = true
			if strings.ContainsAny(w.Headers[name], "\r\n\x00") && of == "headers" {
				d.report(CodeLineBreak, at, false, "the value has a line break or NUL byte")
			}
		}
	}
	d.template(path+".body", w.Body, false)
}

// given tells whether a field is written, right or wrong.
func (d *decoder) given(path string, fields map[string]any, name string) bool {
	return fields[name] != nil || d.written(path+"."+name)
}

func (d *decoder) checkRule(path string, r Rule, fields map[string]any) {
	d.condition(path+".expr", r.Expr)
	d.condition(path+".clear", r.Clear)
	d.slipOfType(path+".type", r.Type)
	d.slipOf(path+".expr", r.Type, r.Expr)
	d.slipOf(path+".clear", r.Type, r.Clear)
	d.alertTemplate(path+".summary", r.Summary)
	d.alertTemplate(path+".description", r.Description)
	labels := append([]string{"rule", "severity"}, r.By...)
	for _, name := range keys(get[map[string]any](fields, "labels")) {
		if slices.Contains(labels, name) {
			d.report(CodeOperations, join(path+".labels", name), true, "alerts have a label %s already", name)
		}
		labels = append(labels, name)
	}
	for i, name := range r.GroupBy {
		if !slices.Contains(labels, name) {
			p := d.report(CodeOperations, element(path+".groupBy", i), false, "its alerts have no label %s", name)
			p.Hint = "they have " + strings.Join(labels, ", ")
		}
	}
	for i := 1; i < len(r.Escalate); i++ {
		if r.Escalate[i].After > 0 && r.Escalate[i].After <= r.Escalate[i-1].After {
			d.report(CodeOperations, element(path+".escalate", i)+".after", false, "it must be later than the one before")
		}
	}
}
