package schema

import (
	"slices"
	"time"
)

// The defaults of handlers that operations.cue names in its comments.
const (
	defaultStep   = "10s"
	defaultWindow = "24h"
	defaultTitle  = "Fleet report"
	defaultKeep   = 30
	defaultTop    = 10
	// spooled is the server of mails that are written to the spool directory.
	spooled = "spool"
)

// actions are the fields of a handler of which one is given.
var actions = []string{"email", "webhook", "slack", "exec", "log", "report", "rsm"}

func (d *decoder) handler(path, name string, fields map[string]any) {
	h := Handler{
		Name: name, Queue: or(fields, "queue", DefaultQueue), Types: []string{name},
		When: get[string](fields, "when"), Attempts: get[int](fields, "attempts"), Rate: get[int](fields, "rate"),
	}
	if fields["types"] != nil {
		h.Types = textList(fields, "types")
		if list, ok := fields["types"].([]any); ok && len(list) == 0 {
			d.report(CodeOperations, path+".types", true, "it has no type").Hint = "leave it out for events of type " + name
		}
	}
	if fields["timeout"] != nil {
		h.Timeout = d.span(path, fields, "timeout", "", time.Millisecond, week)
	}
	d.condition(path+".when", h.When)
	if len(h.Types) == 1 {
		d.slipOf(path+".when", h.Types[0], h.When)
	}
	d.action(path, &h, fields)
	if q := d.queueNamed(path+".queue", h.Queue); q != nil {
		c := d.spec.Cluster(q.Cluster)
		c.Operations.Handlers = append(c.Operations.Handlers, h)
	}
}

// action reads what the handler does.
func (d *decoder) action(path string, h *Handler, fields map[string]any) {
	var given []string
	for _, name := range actions {
		if fields[name] != nil || d.written(path+"."+name) {
			given = append(given, name)
		}
	}
	switch {
	case len(given) == 0 && d.misspelt(path):
	case len(given) == 0:
		d.report(CodeOperations, path, true, "the handler does nothing").Hint = "give one of email, webhook, slack, exec, log, report and rsm"
	case len(given) > 1:
		d.report(CodeOperations, path+"."+given[1], true, "the handler does %s already", given[0]).Hint = "declare a handler for each"
	}
	of := func(name string) (string, map[string]any) {
		return path + "." + name, get[map[string]any](fields, name)
	}
	if at, f := of("email"); f != nil {
		h.Email = d.email(at, f)
	}
	if at, f := of("webhook"); f != nil {
		h.Webhook = d.hook(at, f)
	}
	if at, f := of("slack"); f != nil {
		h.Slack = d.slack(at, f)
	}
	if at, f := of("exec"); f != nil {
		command := d.command(at, f)
		h.Exec = &command
	}
	if at, f := of("log"); f != nil {
		h.Log = &Log{File: get[string](f, "file")}
		if size, ok := f["maxSize"]; ok {
			h.Log.MaxSize = d.size(at+".maxSize", size)
		}
		if h.Log.MaxSize > 0 && h.Log.File == "" {
			d.report(CodeOperations, at+".maxSize", true, "it needs file")
		}
	}
	if at, f := of("report"); f != nil {
		h.Report = d.reportOf(at, f)
	}
	if at, f := of("rsm"); f != nil {
		h.Rsm = &AskServe{
			URL: get[string](f, "url"), Token: d.secret(at+".token", f, "token"), CA: d.file(at, f, "ca"),
			Timeout: d.span(at, f, "timeout", defaultStep, time.Millisecond, day),
		}
		d.checkURL(at+".url", h.Rsm.URL, `write token: {env: "NAME"} or {file: "PATH"}, and change the password`)
	}
}

// misspelt tells whether a struct has a field that does not exist.
func (d *decoder) misspelt(path string) bool {
	return slices.ContainsFunc(d.problems, func(p Problem) bool { return p.Code == CodeUnknown && parent(p.Path) == path })
}

func (d *decoder) email(path string, fields map[string]any) *Email {
	server, tls := get[string](fields, "server"), "none"
	if server != spooled {
		server, tls = d.server(path, fields), "starttls"
	}
	e := &Email{
		Server: server, TLS: or(fields, "tls", tls), CA: d.file(path, fields, "ca"),
		Username: get[string](fields, "username"), Password: d.secret(path+".password", fields, "password"),
		From: get[string](fields, "from"), To: textList(fields, "to"), Envelope: get[string](fields, "envelope"),
		Subject: get[string](fields, "subject"), Text: get[string](fields, "text"), HTML: get[string](fields, "html"),
		Timeout: d.span(path, fields, "timeout", defaultStep, time.Millisecond, day),
	}
	d.checkEmail(path, e, fields)
	return e
}

func (d *decoder) hook(path string, fields map[string]any) *Webhook {
	w := &Webhook{
		URL: d.secret(path+".url", fields, "url"), To: get[string](fields, "to"), Method: or(fields, "method", "POST"),
		Headers:       textMap(fields, "headers"),
		HeaderSecrets: d.secretMap(path+".headerSecrets", get[map[string]any](fields, "headerSecrets")),
		Secret:        d.secret(path+".secret", fields, "secret"),
		Body:          get[string](fields, "body"), CA: d.file(path, fields, "ca"),
		Timeout: d.span(path, fields, "timeout", defaultStep, time.Millisecond, day),
	}
	d.checkWebhook(path, w, fields)
	return w
}

func (d *decoder) slack(path string, fields map[string]any) *Slack {
	s := &Slack{
		Channel: get[string](fields, "channel"), Text: get[string](fields, "text"),
		Timeout: d.span(path, fields, "timeout", defaultStep, time.Millisecond, day),
	}
	if url := d.secret(path+".url", fields, "url"); url != nil {
		s.URL = *url
	}
	d.template(path+".text", s.Text, false)
	return s
}

func (d *decoder) reportOf(path string, fields map[string]any) *Report {
	r := &Report{
		Window: d.span(path, fields, "window", defaultWindow, time.Minute, year),
		Title:  or(fields, "title", defaultTitle), Keep: or(fields, "keep", defaultKeep),
		Mail: get[string](fields, "mail"), Top: or(fields, "top", defaultTop),
	}
	if r.Cron = get[string](fields, "cron"); r.Cron != "" {
		r.Cron, r.Zone = d.schedule(path, fields)
	} else if fields["zone"] != nil && fields["cron"] == nil {
		d.report(CodeOperations, path+".zone", true, "it needs cron")
	}
	return r
}

// checkReports checks that reports are sent by what can send them.
func (d *decoder) checkReports() {
	for _, c := range d.spec.Clusters {
		for _, h := range c.Operations.Handlers {
			if h.Report == nil || h.Report.Mail == "" {
				continue
			}
			at := join("handlers", h.Name) + ".report.mail"
			mail, in := d.handlerNamed(at, h.Report.Mail)
			switch {
			case mail == nil:
			case mail.Email == nil:
				d.report(CodeOperations, at, false, "handler %s sends no mail", mail.Name)
			case in != c:
				d.report(CodeOperations, at, false, "handler %s is in cluster %s, the report in %s", mail.Name, in.Name, c.Name)
			}
		}
	}
}

// handlerNamed finds a handler and its cluster, nil when there is none; that is
// reported.
func (d *decoder) handlerNamed(path, name string) (*Handler, *Cluster) {
	var names []string
	for _, c := range d.spec.Clusters {
		i := slices.IndexFunc(c.Operations.Handlers, func(h Handler) bool { return h.Name == name })
		if i >= 0 {
			return &c.Operations.Handlers[i], c
		}
		for _, h := range c.Operations.Handlers {
			names = append(names, h.Name)
		}
	}
	// One that is declared wrongly is reported there.
	if !d.written(join("handlers", name)) {
		d.nothing(CodeHandler, path, "handler", name, names)
	}
	return nil, nil
}
