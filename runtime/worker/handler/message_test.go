package handler

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rsm/schema"
)

func TestTemplateErrors(t *testing.T) {
	t.Parallel()
	data := map[string]any{"map": map[string]any{}}
	for source, want := range map[string]string{
		"a\nb {{ index .map 1 }}":      "test:2:",
		"{{ join 1 2 }}":               "expected string",
		`{{ printf "%5000000d" 1 }}`:   "more than 4.0 MiB",
		"{{ if }}":                     "test:1: missing value for if",
		`{{ template "/etc/passwd" }}`: "not defined",
		`{{ define "a" }}{{ template "a" }}{{ end }}{{ template "a" }}`: "exceeded maximum template depth",
	} {
		if _, err := renderText("test", source, data); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", source, err, want)
		}
	}
	if out, err := renderText("test", "{{ .missing }}{{ .map.none }}.", data); err != nil || out != "." {
		t.Errorf("what is missing is %q, %v", out, err)
	}
}

// Payloads that are none go to the dead letters, whatever the kind.
func TestBadPayloads(t *testing.T) {
	t.Parallel()
	for _, payload := range []string{"", "[]", "{", `{"event":"text"}`, `{"event":{},"ts":"noon"}`, `{"alerts":{"alerts":[{"value":"x"}]}}`} {
		_, err := Run(t.Context(), schema.Handler{Name: "audit", Log: &schema.Log{}}, Task{ID: "t", Payload: []byte(payload)}, Env{})
		var f *Failure
		if !errors.As(err, &f) || !f.Permanent() || !strings.Contains(err.Error(), "read task t") {
			t.Errorf("%q is %v", payload, err)
		}
	}
	var f *Failure
	if _, err := Run(t.Context(), schema.Handler{Name: "x"}, eventTask(`{}`), Env{}); !errors.As(err, &f) || !f.Permanent() {
		t.Errorf("a handler of no kind is %v", err)
	}
}

// An event of type eml becomes a mail in the spool; a second run writes it again.
func TestSpoolMail(t *testing.T) {
	t.Parallel()
	env := secretEnv(t)
	h := schema.Handler{Name: "eml", Email: &schema.Email{Server: "spool", From: "rsm@shop.example", To: []string{"ops@shop.example"},
		Text: "{{ .Body }}\n{{ .Missing }}"}}
	task := eventTask(`{"subject":"Deploy of v1.2","text":"went well"}`)
	task.ID = "../../etc/passwd"
	var first []byte
	for range 2 {
		out, err := Run(t.Context(), h, task, env)
		if err != nil || !strings.Contains(out.Delivery.Response, "can't evaluate field Missing") {
			t.Fatalf("%+v, %v", out, err)
		}
		files, _ := filepath.Glob(filepath.Join(env.Spool, "mail", "*.eml"))
		if len(files) != 1 {
			t.Fatalf("the spool has %v", files)
		}
		content, err := os.ReadFile(files[0])
		if err != nil || first != nil && string(first) != string(content) {
			t.Errorf("the second run writes another mail: %v", err)
		}
		first = content
	}
	for _, want := range []string{"Subject: Deploy of v1.2\r\n", "went well", "rsm's own was used", "multipart/alternative"} {
		if !strings.Contains(strings.ReplaceAll(string(first), "=\r\n", ""), want) {
			t.Errorf("the mail lacks %q: %s", want, first)
		}
	}
}

func TestMailAddresses(t *testing.T) {
	t.Parallel()
	for _, e := range []schema.Email{
		{From: "rsm@x\r\nBcc: a@b", To: []string{"a@b.example"}}, {From: "rsm", To: []string{"a@b.example"}}, {From: "rsm@x.example"},
		{From: "rsm@x.example", To: []string{"a@b.example\r\nRCPT TO:<c@d>"}}, {From: "rsm@x.example", Envelope: "x", To: []string{"a@b.example"}},
	} {
		var f *Failure
		if _, err := Run(t.Context(), schema.Handler{Name: "mail", Email: &e}, eventTask(`{}`), secretEnv(t)); !errors.As(err, &f) || !f.Permanent() {
			t.Errorf("%+v is %v", e, err)
		}
	}
}

// A preview sends nothing and shows no secret.
func TestPreview(t *testing.T) {
	t.Parallel()
	secret := schema.Secret{Env: "never-read"}
	for _, c := range []struct {
		h    schema.Handler
		want []string
	}{
		{schema.Handler{Email: &schema.Email{Server: "192.0.2.1:25", From: "rsm@x.example", To: []string{"a@b.example"}, Username: "u", Password: &secret}}, []string{"Subject: [FIRING] critical: CPU of web1 at 97 % <b>", "To: <a@b.example>"}},
		{schema.Handler{Webhook: &schema.Webhook{URL: &secret, Secret: &secret, HeaderSecrets: map[string]schema.Secret{"Authorization": secret}}}, []string{"POST <secret>\n", "Authorization: <secret>", "sha256=<HMAC", `"reason":"new"`}},
		{schema.Handler{Slack: &schema.Slack{URL: secret}}, []string{"POST <secret>\n", ":rotating_light:"}},
		{schema.Handler{Rsm: &schema.AskServe{URL: "https://rsm.example", Token: &secret}}, []string{"POST https://rsm.example/api/v1/reconcile", "Authorization: Bearer <secret>"}},
		{schema.Handler{Exec: &schema.Exec{Argv: []string{"no-such", "a b"}, Secrets: map[string]schema.Secret{"TOKEN": secret}}}, []string{`argv[1] "a b"`, "env TOKEN=<secret>", "stdin\n{"}},
		{schema.Handler{Log: &schema.Log{}}, []string{`"task":"t"`}},
		{schema.Handler{Report: &schema.Report{Window: time.Hour}}, []string{"All 3 hosts are fine."}},
	} {
		shown, _, err := Preview(t.Context(), c.h, Task{ID: "t", Payload: []byte(firing)}, Env{Now: func() time.Time { return noon }, Samples: day(3, time.Minute)})
		for _, want := range c.want {
			if err != nil || !strings.Contains(string(shown), want) {
				t.Errorf("%v lacks %q: %s", err, want, shown)
			}
		}
	}
}
