package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rsm/runtime/controller/ledger"
	"rsm/schema"
)

// request is what a receiver got.
type request struct {
	path   string
	header http.Header
	body   string
}

// receiver answers with a code and keeps what it gets.
func receiver(t *testing.T, code int) (address string, got *[]request) {
	t.Helper()
	got = &[]request{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		*got = append(*got, request{r.Method + " " + r.URL.RequestURI(), r.Header, string(body)})
		w.Header().Set("Location", "http://127.0.0.1:1/stolen")
		w.Header().Set("Retry-After", "9")
		w.WriteHeader(code)
		_, _ = io.WriteString(w, r.URL.String()+r.Header.Get("Authorization"))
	}))
	t.Cleanup(server.Close)
	return server.URL, got
}

func text(s string) func() (string, error) { return func() (string, error) { return s, nil } }

var failed = ledger.Event{Time: time.Unix(0, 0).UTC(), Level: "error", Type: "apply.failed", Cluster: "lain", Commit: "0123456789abcdef", Attempt: 7, Message: `no <!channel> & "x"`}

func TestWebhook(t *testing.T) {
	t.Parallel()
	url, got := receiver(t, 204)
	if err := (Webhook{URL: text(url + "/hook?key=1"), Secret: text("It's a Secret to Everybody")}).Send(t.Context(), failed); err != nil {
		t.Fatal(err)
	}
	r := (*got)[0]
	var e ledger.Event
	if err := json.Unmarshal([]byte(r.body), &e); err != nil || e != failed || r.path != "POST /hook?key=1" {
		t.Errorf("it gets %+v, %v", r, err)
	}
	// From: openssl dgst -sha256 -hmac "It's a Secret to Everybody"
	const want = "sha256=9bfe87d71646859658c43be204050dede17a48e73559031f3f2f588f5b7ab633"
	if r.header.Get("X-Signature") != want || r.header.Get("X-Rsm-Event") != "apply.failed" || r.header.Get("Content-Type") != "application/json" {
		t.Errorf("the header is %v, the body %s", r.header, r.body)
	}
	if err := (Webhook{URL: text(url)}).Send(t.Context(), failed); err != nil || (*got)[1].header.Get("X-Signature") != "" {
		t.Errorf("without a secret: %v, %v", (*got)[1].header, err)
	}
}

func TestSlack(t *testing.T) {
	t.Parallel()
	url, got := receiver(t, 200)
	if err := (Slack{URL: text(url)}).Send(t.Context(), failed); err != nil {
		t.Fatal(err)
	}
	const want = `{"blocks":[{"text":{"text":":x: *apply.failed* lain: no &lt;!channel&gt; &amp; \"x\"","type":"mrkdwn"},"type":"section"},` +
		`{"elements":[{"text":"commit ` + "`0123456789`, `rsm show 7`" + `","type":"mrkdwn"}],"type":"context"}],"text":":x: *apply.failed* lain: no &lt;!channel&gt; &amp; \"x\""}`
	if (*got)[0].body != want {
		t.Errorf("it gets\n%s\nwant\n%s", (*got)[0].body, want)
	}
	if err := (Slack{URL: text(url)}).Send(t.Context(), ledger.Event{Message: strings.Repeat("é", 9000)}); err != nil || len((*got)[1].body) > 4*slackText+200 {
		t.Errorf("a long text has %d bytes, %v", len((*got)[1].body), err)
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	url, got := receiver(t, 201)
	hub := &Status{Forge: "github", API: url, Repo: "owner/name", Token: text("t0ken"), Target: "https://example.org"}
	tea := &Status{Forge: "gitea", API: url + "/api/v1/", Repo: "owner/name", Token: text("t0ken")}
	for _, s := range []*Status{hub, tea} {
		if err := s.Send(t.Context(), failed); err != nil {
			t.Fatal(err)
		}
	}
	one, two := (*got)[0], (*got)[1]
	if one.path != "POST /repos/owner/name/statuses/0123456789abcdef" || one.header.Get("Authorization") != "Bearer t0ken" ||
		one.body != `{"state":"failure","target_url":"https://example.org","description":"no <!channel> & \"x\"","context":"rsm/lain"}` {
		t.Errorf("github gets %+v", one)
	}
	if two.path != "POST /api/v1/repos/owner/name/statuses/0123456789abcdef" || two.header.Get("Authorization") != "token t0ken" ||
		two.body != `{"state":"failure","description":"no <!channel> & \"x\"","context":"rsm/lain"}` {
		t.Errorf("gitea gets %+v", two)
	}
}

func TestStatusOfEvents(t *testing.T) {
	t.Parallel()
	url, got := receiver(t, 201)
	s := &Status{Forge: "gitea", API: url, Repo: "o/n", Token: text("t")}
	for _, step := range []struct{ kind, cluster, commit, want string }{
		{"commit.new", "", "a", "a rsm success"},
		{"apply.start", "lain", "a", "a rsm/lain pending"},
		{"apply.start", "mei", "a", "a rsm/mei pending"},
		{"drift", "lain", "a", ""},
		{"apply.done", "lain", "a", "a rsm/lain success"},
		{"in-sync", "lain", "a", ""}, // it is so already
		{"healed", "lain", "a", ""},
		{"service.end", "", "", ""},
		{"commit.refused", "", "b", "b rsm failure"},
		{"commit.unverified", "", "c", "c rsm error"},
		{"apply.stopped", "lain", "b", "b rsm/lain pending"},
		{"apply.failed", "lain", "b", "b rsm/lain failure"},
		{"healed", "lain", "a", "a rsm/lain success"},
	} {
		before := len(*got)
		if err := s.Send(t.Context(), ledger.Event{Type: step.kind, Cluster: step.cluster, Commit: step.commit, Message: strings.Repeat("m", 200)}); err != nil {
			t.Fatal(err)
		}
		have := ""
		if len(*got) > before {
			r := (*got)[before]
			var doc struct{ State, Context, Description string }
			if err := json.Unmarshal([]byte(r.body), &doc); err != nil || len([]rune(doc.Description)) != descriptionLength {
				t.Errorf("%+v, %v", doc, err)
			}
			have = r.path[strings.LastIndex(r.path, "/")+1:] + " " + doc.Context + " " + doc.State
		}
		if have != step.want {
			t.Errorf("%s of %q sets %q, want %q", step.kind, step.cluster, have, step.want)
		}
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	for code, lasting := range map[int]bool{301: true, 400: true, 401: true, 404: true, 422: true, 408: false, 429: false, 500: false, 503: false} {
		url, got := receiver(t, code)
		err := Slack{URL: text(url)}.Send(t.Context(), failed)
		var final *finalError
		var status *statusError
		if !errors.As(err, &status) || errors.As(err, &final) != lasting || status.after != 9*time.Second || len(*got) != 1 {
			t.Errorf("%d is %v, lasting %v, after %d requests", code, err, errors.As(err, &final), len(*got))
		}
	}
}

// No error says where it went or with which token.
func TestSecretsStaySecret(t *testing.T) {
	t.Parallel()
	const secret = "s3cr3t"
	url, _ := receiver(t, 500)
	gone := httptest.NewServer(nil)
	gone.Close()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]Channel{
		"an answer":  Webhook{URL: text(url + "/" + secret), Secret: text(secret)},
		"nobody":     Webhook{URL: text(gone.URL + "/" + secret)},
		"no URL":     Webhook{URL: text("http://a b/" + secret)},
		"no host":    Slack{URL: text(secret)},
		"no scheme":  Slack{URL: text("ftp://127.0.0.1/" + secret)},
		"a status":   &Status{Forge: "github", API: url, Repo: "o/n", Token: text(secret)},
		"bad header": &Status{Forge: "github", API: url, Repo: "o/n", Token: text(secret + "\n")},
	} {
		for _, ctx := range []context.Context{t.Context(), ended} {
			err := c.Send(ctx, failed)
			if err == nil || strings.Contains(err.Error(), secret) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestUnreadableSecret(t *testing.T) {
	t.Parallel()
	url, got := receiver(t, 200)
	no := errors.New("no")
	bad := func() (string, error) { return "", no }
	for _, c := range []Channel{Webhook{URL: bad}, Webhook{URL: text(url), Secret: bad}, Slack{URL: bad}, &Status{Token: bad}} {
		if err := c.Send(t.Context(), failed); !errors.Is(err, no) || len(*got) != 0 {
			t.Errorf("%T: %v", c, err)
		}
	}
}

func TestSinks(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	url, got := receiver(t, 200)
	file := filepath.Join(t.TempDir(), "token")
	write := func(s string) {
		if err := os.WriteFile(file, []byte(s+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	secret := &schema.Secret{File: file}
	sinks := Sinks([]schema.Notify{
		{Type: "log", Events: []string{"apply.failed"}},
		{Type: "webhook", URL: schema.URL{Text: url}, Secret: secret},
		{Type: "slack", URL: schema.URL{Text: url}},
		{Type: "github", API: url, Repo: "owner/name", Token: secret},
		{Type: "gitea", API: url, Repo: "owner/name", Token: secret},
	}, logger)
	names := ""
	write("one")
	for i, sink := range sinks {
		names += sink.Name + ","
		if i == 4 {
			write("two") // it is read at each use
		}
		if err := sink.Channel.Send(t.Context(), failed); err != nil {
			t.Errorf("%s: %v", sink.Name, err)
		}
	}
	if names != "log,webhook,slack,github owner/name,gitea owner/name," || len(*got) != 4 || (*got)[3].header.Get("Authorization") != "token two" {
		t.Errorf("%s %+v", names, *got)
	}
	if !sinks[0].wants(failed) || sinks[0].wants(ledger.Event{Type: "drift"}) || !strings.Contains(log.String(), `level=ERROR`) || !strings.Contains(log.String(), "cluster=lain") {
		t.Errorf("the log has %s", log.String())
	}
}
