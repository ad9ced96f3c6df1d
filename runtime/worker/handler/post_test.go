package handler

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rsm/schema"
)

// receiver answers each request by answer, and keeps the last.
type receiver struct {
	*httptest.Server
	header http.Header
	path   string
	body   []byte
	hits   atomic.Int64
}

func receive(t *testing.T, answer func(w http.ResponseWriter, hit int)) *receiver {
	t.Helper()
	got := &receiver{}
	got.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got.header, got.path = r.Header, r.Method+" "+r.URL.RequestURI()
		got.body, _ = io.ReadAll(r.Body)
		answer(w, int(got.hits.Add(1)))
	}))
	t.Cleanup(got.Close)
	return got
}

func status(code int) func(http.ResponseWriter, int) {
	return func(w http.ResponseWriter, _ int) { w.WriteHeader(code) }
}

func hookEnv(values map[string]string) Env {
	return Env{Now: func() time.Time { return noon }, Secret: func(s schema.Secret) (string, error) {
		value, ok := values[s.Env]
		if !ok {
			return "", fmt.Errorf("secret %s is not set", s)
		}
		return value, nil
	}}
}

func TestWebhook(t *testing.T) {
	t.Parallel()
	got := receive(t, func(w http.ResponseWriter, _ int) { _, _ = io.WriteString(w, "thanks for k3y/1") })
	w := &schema.Webhook{URL: &schema.Secret{Env: "url"}, Method: "PUT", Headers: map[string]string{"X-Team": "ops"},
		HeaderSecrets: map[string]schema.Secret{"Authorization": {Env: "auth"}}, Secret: &schema.Secret{Env: "sign"}}
	env := hookEnv(map[string]string{"url": got.URL + "/in?key=k3y%2F1", "auth": "Bearer s3cret", "sign": "hush", "key": "k3y/1"})
	out, err := Run(t.Context(), schema.Handler{Name: "hook", Webhook: w}, eventTask(`{"cpu_usage":93}`), env)
	if err != nil || !out.Delivery.OK || out.Delivery.Kind != "webhook" {
		t.Fatalf("%+v, %v", out, err)
	}
	mac := hmac.New(sha256.New, []byte("hush"))
	mac.Write(got.body)
	for name, want := range map[string]string{"X-Team": "ops", "Authorization": "Bearer s3cret", "Idempotency-Key": "01J9Z0:mail", "Content-Type": "application/json",
		"X-Rsm-Signature": "sha256=" + hex.EncodeToString(mac.Sum(nil)), "X-Rsm-Handler": "hook"} {
		if got.header.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, got.header.Get(name), want)
		}
	}
	if got.path != "PUT /in?key=k3y%2F1" || string(got.body) != string(eventTask(`{"cpu_usage":93}`).Payload) {
		t.Errorf("it gets %s %s", got.path, got.body)
	}
	w.Body = `{"text": {{ json (printf "%s at %s" .Host (round 1 .Fields.cpu_usage)) }}, "none": {{ json .Fields.none }}}`
	if _, err = Run(t.Context(), schema.Handler{Name: "hook", Webhook: w}, eventTask(`{"cpu_usage":93}`), env); err != nil || string(got.body) != `{"text": "web1 at 93.0", "none": null}` {
		t.Errorf("the template gives %s, %v", got.body, err)
	}
}

func TestAnswersOfReceivers(t *testing.T) {
	t.Parallel()
	after := func(code int, value string) func(http.ResponseWriter, int) {
		return func(w http.ResponseWriter, _ int) {
			w.Header().Set("Retry-After", value)
			w.Header().Set("Location", "http://127.0.0.1:1/stolen")
			w.WriteHeader(code)
		}
	}
	for name, c := range map[string]struct {
		answer    func(http.ResponseWriter, int)
		ok, final bool
		wait      time.Duration
	}{
		"204":              {answer: status(204), ok: true},
		"400":              {answer: status(400), final: true},
		"410":              {answer: after(410, "5"), final: true},
		"307":              {answer: after(307, ""), final: true},
		"408":              {answer: status(408)},
		"425":              {answer: status(425)},
		"429 in seconds":   {answer: after(429, "17"), wait: 17 * time.Second},
		"503 at a time":    {answer: after(503, noon.Add(time.Minute).Format(http.TimeFormat)), wait: time.Minute},
		"503 in the past":  {answer: after(503, noon.Add(-time.Minute).Format(http.TimeFormat))},
		"503 at once":      {answer: after(503, "0")},
		"503 for years":    {answer: after(503, "999999999"), wait: maxRetryAfter},
		"500 with rubbish": {answer: after(500, "soon")},
		"no answer":        {answer: func(_ http.ResponseWriter, _ int) { time.Sleep(time.Second) }},
		"cut off": {answer: func(w http.ResponseWriter, _ int) {
			conn, _, _ := http.NewResponseController(w).Hijack()
			_ = conn.Close()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := receive(t, c.answer)
			w := &schema.Webhook{To: got.URL + "/secret-path", Timeout: 300 * time.Millisecond}
			out, err := Run(t.Context(), schema.Handler{Name: "hook", Webhook: w}, eventTask(`{}`), hookEnv(nil))
			if c.ok {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var f *Failure
			if !errors.As(err, &f) || f.Permanent() != c.final || strings.Contains(f.Error(), "secret-path") || out.Delivery.OK || out.Delivery.Error == "" {
				t.Fatalf("%v %+v", err, out)
			}
			if wait, timed := f.RetryAfter(); wait != c.wait || timed != (c.wait > 0) {
				t.Errorf("it waits %v, %v", wait, timed)
			}
			if got.hits.Load() != 1 {
				t.Errorf("it was asked %d times", got.hits.Load())
			}
		})
	}
}

func TestRequestsThatCannotBe(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://" + listener.Addr().String() + "/k3y"
	_ = listener.Close()
	for _, c := range []struct {
		hook  schema.Webhook
		final bool
		want  string
	}{
		{schema.Webhook{To: "ftp://x/"}, true, "neither http"},
		{schema.Webhook{To: "http://x/", Headers: map[string]string{"X-A": "a\r\nX-B: b"}}, true, "line break"},
		{schema.Webhook{To: "http://x/", Body: "{{ .Nothing }}"}, true, "template body:1:"},
		{schema.Webhook{To: "http://x/", Body: "a\n{{ foo }}"}, true, `template body:2: function "foo" not defined`},
		{schema.Webhook{To: "http://x/", Secret: &schema.Secret{Env: "gone"}}, false, "env:gone"},
		{schema.Webhook{To: closed}, false, "connection refused"},
		{schema.Webhook{URL: &schema.Secret{Env: "bad"}}, true, "of no use"},
		{schema.Webhook{To: "https://127.0.0.1:1/", CA: "/nonexistent/ca.pem"}, false, "read CA"},
	} {
		_, err := Run(t.Context(), schema.Handler{Name: "hook", Webhook: &c.hook}, eventTask(`{}`), hookEnv(map[string]string{"bad": "http://k3y\x01/"}))
		var f *Failure
		if !errors.As(err, &f) || f.Permanent() != c.final || !strings.Contains(f.Error(), c.want) || strings.Contains(f.Error(), "k3y") {
			t.Errorf("%+v: %v, want %q", c.hook, err, c.want)
		}
	}
}

func TestSlack(t *testing.T) {
	t.Parallel()
	got := receive(t, status(200))
	s := &schema.Slack{URL: schema.Secret{Env: "url"}, Channel: "#ops"}
	env := hookEnv(map[string]string{"url": got.URL})
	payload := strings.Replace(firing, "of web1", "of <!channel> & web1", 1)
	if _, err := Run(t.Context(), schema.Handler{Name: "chat", Slack: s}, Task{ID: "n", Payload: []byte(payload)}, env); err != nil {
		t.Fatal(err)
	}
	var body struct {
		Text, Channel string
		Attachments   []struct {
			Color  string
			Blocks []struct{ Text struct{ Text string } }
		}
	}
	if err := json.Unmarshal(got.body, &body); err != nil {
		t.Fatal(err)
	}
	if body.Channel != "#ops" || body.Text != "[FIRING] critical: CPU of &lt;!channel&gt; &amp; web1 at 97 % &lt;b&gt;" || body.Attachments[0].Color != "#c62828" ||
		!strings.Contains(body.Attachments[0].Blocks[0].Text.Text, "above 90 % for 5m") {
		t.Errorf("it gets %s", got.body)
	}
	s.Text = "<https://wiki|{{ .Host }}> {{ .Fields.a"
	if out, err := Run(t.Context(), schema.Handler{Name: "chat", Slack: s}, eventTask(`{"a":1}`), env); err != nil || !strings.Contains(out.Delivery.Response, "rsm's own was used") {
		t.Errorf("a broken template: %+v, %v", out, err)
	}
}

// rsm serve answers 202.
func TestAskServe(t *testing.T) {
	t.Parallel()
	got := receive(t, func(w http.ResponseWriter, hit int) { w.WriteHeader(map[int]int{1: 202, 2: 401}[hit]) })
	a := &schema.AskServe{URL: got.URL + "/", Token: &schema.Secret{Env: "token"}}
	h := schema.Handler{Name: "look", Rsm: a}
	env := hookEnv(map[string]string{"token": "t0ken"})
	if _, err := Run(t.Context(), h, eventTask(`{}`), env); err != nil || got.path != "POST /api/v1/reconcile" || got.header.Get("Authorization") != "Bearer t0ken" {
		t.Errorf("%s %v, %v", got.path, got.header, err)
	}
	var f *Failure
	if _, err := Run(t.Context(), h, eventTask(`{}`), env); !errors.As(err, &f) || !f.Permanent() {
		t.Errorf("a wrong token is %v", err)
	}
}

// A handler's own limit ends what has none.
func TestTimeoutOfHandler(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	got := receive(t, func(http.ResponseWriter, int) { <-hang })
	defer close(hang)
	h := schema.Handler{Name: "hook", Timeout: 100 * time.Millisecond, Webhook: &schema.Webhook{To: got.URL, Timeout: time.Minute}}
	if _, err := Run(t.Context(), h, eventTask(`{}`), hookEnv(nil)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it ends with %v", err)
	}
}
