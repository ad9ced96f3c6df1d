package hook

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const secret = "correct horse"

// lab is a Receiver for the branch main with a clock of its own.
type lab struct {
	*Receiver
	asked atomic.Int64
	clock atomic.Int64 // ms
}

func newLab(t testing.TB, secrets ...string) *lab {
	t.Helper()
	l := &lab{}
	config := Config{Branch: "main", Ask: func() { l.asked.Add(1) }, Now: func() time.Time { return time.UnixMilli(1e12 + l.clock.Load()) }}
	for _, s := range secrets {
		config.Secrets = append(config.Secrets, func() (string, error) { return s, nil })
	}
	var err error
	if l.Receiver, err = New(config); err != nil {
		t.Fatal(err)
	}
	return l
}

// post sends a body with headers "Name: value"; SIGN becomes the hex HMAC.
func (l *lab) post(body string, headers ...string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(http.MethodPost, "/hook", strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, strings.ReplaceAll(value, "SIGN", hex.EncodeToString(sign([]byte(body), secret))))
	}
	return l.serve(req)
}

func (l *lab) serve(req *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	l.ServeHTTP(w, req)
	return w
}

// The bodies are cut to what tells the forges apart.
const (
	githubPush = `{"ref":"refs/heads/main","before":"6113728f27ae82c7b1a177c8d03f9e96e0adf246","after":"0d1a26e67d8f5eaf1f6ba5c57fc3c7d91ac0fd1c",` +
		`"repository":{"id":186853002,"full_name":"octo/specs","private":false},"pusher":{"name":"octo","email":"octo@example.com"},"created":false,"deleted":false,"forced":false,` +
		`"head_commit":{"id":"0d1a26e67d8f5eaf1f6ba5c57fc3c7d91ac0fd1c","message":"more memory","modified":["deploy/lain.cue"]},"commits":[]}`
	gitlabPush = `{"object_kind":"push","event_name":"push","before":"95790bf891e76fee5e1747ab589903a6a1f80f22","after":"da1560886d4f094c3e6c9ef40349f7d38b5d27d7",` +
		`"ref":"refs/heads/main","ref_protected":true,"user_username":"octo","project_id":15,"commits":[],"total_commits_count":4}`
	giteaPush = `{"ref":"refs/heads/main","before":"28e1879d029cb852e4844d9c718537df08844e03","after":"bffeb74224043ba2feb48d137756c8a9331c449a",` +
		`"compare_url":"http://localhost:3000/octo/specs/compare/28e1879...bffeb74","commits":[],"total_commits":1,"repository":{"id":140,"full_name":"octo/specs"}}`
	ping = `{"zen":"Keep it logically awesome.","hook_id":1,"hook":{"type":"Repository","events":["push"],"config":{"content_type":"json"}}}`
)

var github = []string{"X-GitHub-Event: push", "X-Hub-Signature-256: sha256=SIGN"}

func TestForges(t *testing.T) {
	t.Parallel()
	dev := func(body string) string { return strings.Replace(body, "refs/heads/main", "refs/heads/dev", 1) }
	mac := hmac.New(sha1.New, []byte(secret))
	_, _ = mac.Write([]byte(githubPush))
	old := "X-Hub-Signature: sha1=" + hex.EncodeToString(mac.Sum(nil))
	for _, tt := range []struct {
		name    string
		body    string
		headers []string
		code    int
		text    string
		asked   int64
	}{
		{"github push", githubPush, github, 202, "asked", 1},
		{"github other branch", dev(githubPush), github, 202, "ignored: not the branch main", 0},
		{"github tag", strings.Replace(githubPush, "heads", "tags", 1), github, 202, "ignored", 0},
		{"github ping", ping, []string{"X-GitHub-Event: ping", github[1]}, 202, "pong", 0},
		{"github issue", `{"action":"opened"}`, []string{"X-GitHub-Event: issues", github[1]}, 202, "ignored: not a push", 0},
		{"github no event", githubPush, github[1:], 202, "ignored: not a push", 0},
		{"github upper case", githubPush, []string{github[0], "X-Hub-Signature-256: sha256=" + strings.ToUpper(hex.EncodeToString(sign([]byte(githubPush), secret)))}, 202, "asked", 1},
		{"github without prefix", githubPush, []string{github[0], "X-Hub-Signature-256: SIGN"}, 401, "does not match", 0},
		{"github sha1 alone", githubPush, []string{github[0], old}, 401, "SHA-1", 0},
		{"github sha1 and a wrong one", githubPush, []string{github[0], old, "X-Hub-Signature-256: sha256=00"}, 401, "does not match", 0},
		{"gitlab push", gitlabPush, []string{"X-Gitlab-Event: Push Hook", "X-Gitlab-Token: " + secret}, 202, "asked", 1},
		{"gitlab system hook", gitlabPush, []string{"X-Gitlab-Event: System Hook", "X-Gitlab-Token: " + secret}, 202, "asked", 1},
		{"gitlab other branch", dev(gitlabPush), []string{"X-Gitlab-Event: Push Hook", "X-Gitlab-Token: " + secret}, 202, "ignored", 0},
		{"gitlab tag", gitlabPush, []string{"X-Gitlab-Event: Tag Push Hook", "X-Gitlab-Token: " + secret}, 202, "ignored: not a push", 0},
		{"gitlab wrong token", gitlabPush, []string{"X-Gitlab-Event: Push Hook", "X-Gitlab-Token: " + secret + "x"}, 401, "does not match", 0},
		{"gitlab signature for a token", gitlabPush, []string{"X-Gitlab-Event: Push Hook", "X-Gitlab-Token: SIGN"}, 401, "does not match", 0},
		{"gitea push", giteaPush, []string{"X-Gitea-Event: push", "X-GitHub-Event: push", "X-Gogs-Event: push", "X-Gitea-Signature: SIGN", "X-Gogs-Signature: SIGN", github[1], "X-Hub-Signature: sha1=00"}, 202, "asked", 1},
		{"forgejo push", giteaPush, []string{"X-Forgejo-Event: push", "X-Forgejo-Signature: SIGN", "X-Gitea-Event: push", "X-Gitea-Signature: SIGN"}, 202, "asked", 1},
		{"gogs push", giteaPush, []string{"X-Gogs-Event: push", "X-Gogs-Signature: SIGN"}, 202, "asked", 1},
		{"gitea other branch", dev(giteaPush), []string{"X-Gitea-Event: push", "X-Gitea-Signature: SIGN"}, 202, "ignored", 0},
		{"gitea other event", giteaPush, []string{"X-Gitea-Event: create", "X-Gitea-Signature: SIGN"}, 202, "ignored: not a push", 0},
		{"gitea not hex", giteaPush, []string{"X-Gitea-Event: push", "X-Gitea-Signature: zz"}, 401, "does not match", 0},
		{"generic", `{"ref":"refs/heads/main"}`, []string{"X-Signature: sha256=SIGN"}, 202, "asked", 1},
		{"generic short ref", `{"ref":"main"}`, []string{"X-Signature: sha256=SIGN"}, 202, "asked", 1},
		{"generic refs", `{"refs":["refs/heads/dev","refs/heads/main"]}`, []string{"X-Signature: sha256=SIGN"}, 202, "asked", 1},
		{"generic other refs", `{"refs":["refs/heads/dev"]}`, []string{"X-Signature: sha256=SIGN"}, 202, "ignored", 0},
		{"generic nothing known", `{}`, []string{"X-Signature: sha256=SIGN"}, 202, "asked", 1},
		{"generic empty", ``, []string{"X-Signature: sha256=SIGN"}, 400, "not the JSON", 0},
		{"not signed", githubPush, github[:1], 401, "not signed", 0},
		{"malformed", `{"ref":`, github, 400, "not the JSON", 0},
		{"not an object", `["refs/heads/main"]`, github, 400, "not the JSON", 0},
		{"a ref that is no text", `{"ref":{"a":1}}`, github, 400, "not the JSON", 0},
		{"deep", strings.Repeat("[", 500_000), github, 400, "not the JSON", 0},
		{"deep inside", `{"a":` + strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_001), github, 400, "not the JSON", 0},
		{"as large as it may be", `{"a":"` + strings.Repeat("x", maxBody-8) + `"}`, github, 202, "asked", 1},
		{"oversize", `{"a":"` + strings.Repeat("x", maxBody) + `"}`, github, 413, "1 MiB", 0},
		{"oversize and forged", strings.Repeat("x", 3*maxBody), []string{"X-Signature: sha256=00"}, 413, "1 MiB", 0},
		{"form", "payload=%7B%7D", append([]string{"Content-Type: application/x-www-form-urlencoded"}, github...), 415, "set the content type", 0},
		{"text", "{}", append([]string{"Content-Type: text/plain"}, github...), 415, "must be application/json", 0},
		{"utf-8", githubPush, append([]string{"Content-Type: application/json; charset=utf-8"}, github...), 202, "asked", 1},
	} {
		l := newLab(t, secret)
		w := l.post(tt.body, tt.headers...)
		if w.Code != tt.code || !strings.Contains(w.Body.String(), tt.text) || l.asked.Load() != tt.asked {
			t.Errorf("%s: %d %q, asked %d; want %d %q, %d", tt.name, w.Code, w.Body, l.asked.Load(), tt.code, tt.text, tt.asked)
		}
		if s := l.Stats(); s.Received != 1 || s.Asked+s.Ignored+s.Repeated+s.Forged+s.Malformed+s.Limited+s.Crashed != 1 {
			t.Errorf("%s: stats %+v", tt.name, s)
		}
	}
}

func TestMethods(t *testing.T) {
	t.Parallel()
	l := newLab(t, secret)
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodHead, "BREW"} {
		if w := l.serve(httptest.NewRequest(method, "/hook", strings.NewReader("{}"))); w.Code != 405 || w.Header().Get("Allow") != "POST" {
			t.Errorf("%s: %d", method, w.Code)
		}
	}
	// A body of unknown length, longer than allowed.
	req := httptest.NewRequest(http.MethodPost, "/hook", io.LimitReader(zeros{}, maxBody+1))
	req.ContentLength = -1
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Signature", "sha256=00")
	if w := l.serve(req); w.Code != 413 {
		t.Errorf("unknown length: %d", w.Code)
	}
	req = httptest.NewRequest(http.MethodPost, "/hook", io.MultiReader(strings.NewReader("{"), broken{}))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Signature", "sha256=00")
	if w := l.serve(req); w.Code != 400 {
		t.Errorf("a body that breaks: %d", w.Code)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("reset by peer") }

func TestNoSecret(t *testing.T) {
	t.Parallel()
	good := func() (string, error) { return secret, nil }
	empty := func() (string, error) { return "", nil }
	missing := func() (string, error) { return "", errors.New("no such file") }
	ask := func() {}
	for _, config := range []Config{
		{Ask: ask}, {Ask: ask, Secrets: []func() (string, error){empty}}, {Ask: ask, Secrets: []func() (string, error){good, missing}},
		{Ask: ask, Secrets: []func() (string, error){good, good, good}}, {Secrets: []func() (string, error){good}},
	} {
		if _, err := New(config); err == nil {
			t.Errorf("%+v starts", config)
		}
	}
}

// TestSecretChange: two are known for a while, and files may go missing.
func TestSecretChange(t *testing.T) {
	t.Parallel()
	l := newLab(t, "new one", secret)
	if w := l.post(githubPush, github...); w.Code != 202 || l.asked.Load() != 1 {
		t.Errorf("the second secret: %d", w.Code)
	}
	gone := func() (string, error) { return "", errors.New("no such file") }
	l.config.Secrets[0] = gone
	if w := l.post(githubPush, github...); w.Code != 202 {
		t.Errorf("one is gone: %d", w.Code)
	}
	l.config.Secrets[1] = func() (string, error) { return "", nil }
	if w := l.post(`{}`, "X-Signature: sha256="+hex.EncodeToString(sign([]byte(`{}`), ""))); w.Code != 500 {
		t.Errorf("signed with nothing: %d", w.Code)
	}
	if s := l.Stats(); s.Asked != 2 || s.Crashed != 1 {
		t.Errorf("%+v", s)
	}
}

func TestReplay(t *testing.T) {
	t.Parallel()
	l := newLab(t, secret)
	first := append([]string{"X-GitHub-Delivery: 72d3162e-cc78-11e3-81ab-4c9367dc0958"}, github...)
	for range 3 {
		if w := l.post(githubPush, first...); w.Code != 202 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	if s := l.Stats(); s.Asked != 1 || s.Repeated != 2 {
		t.Errorf("the same delivery three times: %+v", s)
	}
	l.post(githubPush, append([]string{"X-GitHub-Delivery: made-up"}, github...)...)
	if n := l.asked.Load(); n != 2 {
		t.Errorf("replayed under another id: asked %d times", n) // which costs a look, no more
	}
	l.clock.Add(forgotten.Milliseconds())
	l.post(githubPush, first...)
	if n := l.asked.Load(); n != 3 {
		t.Errorf("redelivered later: asked %d times", n)
	}
	for i := range 5 * remembered {
		l.seen.repeated(fmt.Sprint(i), l.config.Now())
	}
	if len(l.seen.when) > remembered || len(l.seen.order) > remembered {
		t.Errorf("%d deliveries are remembered", len(l.seen.when))
	}
}

func TestLimit(t *testing.T) {
	t.Parallel()
	l := newLab(t, secret)
	for i := range burst {
		if w := l.post(githubPush, "X-Signature: sha256=00"); w.Code != 401 {
			t.Fatalf("%d: %d", i, w.Code)
		}
	}
	w := l.post(githubPush, github...)
	if w.Code != 429 || w.Header().Get("Retry-After") != "1" || l.asked.Load() != 0 {
		t.Errorf("after %d forged ones: %d %v", burst, w.Code, w.Header())
	}
	l.clock.Add(500)
	if w := l.post(githubPush, github...); w.Code != 202 {
		t.Errorf("half a second later: %d", w.Code)
	}
	if s := l.Stats(); s.Forged != burst || s.Limited != 1 || s.Asked != 1 {
		t.Errorf("%+v", s)
	}
}

func TestCrash(t *testing.T) {
	t.Parallel()
	l := newLab(t, secret)
	l.config.Ask = func() { panic("a bug") }
	if w := l.post(githubPush, github...); w.Code != 500 || l.Stats().Crashed != 1 {
		t.Errorf("%d", w.Code)
	}
}

// TestThousand: a thousand signed posts at once are all answered, and the loop
// that is asked looks a few times.
func TestThousand(t *testing.T) {
	t.Parallel()
	pending := make(chan struct{}, 1) // one slot, as the loop has it
	r, err := New(Config{Branch: "main", Secrets: []func() (string, error){func() (string, error) { return secret, nil }}, Ask: func() {
		select {
		case pending <- struct{}{}:
		default:
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(r)
	defer server.Close()
	looks, ended := 0, make(chan struct{})
	go func() {
		defer close(ended)
		for range pending {
			looks++
			time.Sleep(100 * time.Millisecond) // what a look takes
		}
	}()
	start := time.Now()
	var posts sync.WaitGroup
	for sender := range 20 {
		posts.Go(func() {
			for i := range 50 {
				if err := deliver(server, fmt.Sprint(sender, " ", i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	posts.Wait()
	took := time.Since(start)
	close(pending)
	<-ended
	t.Logf("1000 posts in %s, %d looks", took, looks)
	if s := r.Stats(); s.Asked != 1000 || looks > int(took/(100*time.Millisecond))+3 {
		t.Errorf("%+v, %d looks in %s", s, looks, took)
	}
}

func deliver(server *httptest.Server, id string) error {
	req, err := http.NewRequest(http.MethodPost, server.URL, strings.NewReader(githubPush))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-GitHub-Event", "push")
	req.Header.Set("X-GitHub-Delivery", id)
	req.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(sign([]byte(githubPush), secret)))
	res, err := server.Client().Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	if res.StatusCode != http.StatusAccepted {
		return fmt.Errorf("post %s: %s", id, res.Status)
	}
	return nil
}

func TestSign(t *testing.T) {
	t.Parallel()
	l := newLab(t, secret)
	name, value := Sign([]byte(`{"ref":"refs/heads/main"}`), secret)
	if w := l.post(`{"ref":"refs/heads/main"}`, name+": "+value); w.Code != 202 {
		t.Errorf("%d", w.Code)
	}
}

// FuzzHook: nothing crashes, and nobody asks without a right signature.
func FuzzHook(f *testing.F) {
	for _, form := range forges {
		f.Add("POST", "application/json", form.proof, "sha256=00", form.event, "push", "1", []byte(githubPush), false)
		f.Add("POST", "application/json", form.proof, form.prefix, form.event, "Push Hook", "1", []byte(`{"ref":"refs/heads/main"}`), true)
	}
	f.Add("GET", "text/plain", "X-Hub-Signature", "sha1=00", "", "", "", []byte("[[[["), false)
	f.Fuzz(func(t *testing.T, method, kind, proof, value, event, kindOfEvent, id string, body []byte, right bool) {
		l := newLab(t, secret)
		req := httptest.NewRequest(http.MethodPost, "/hook", strings.NewReader(string(body)))
		req.Method = method
		req.Header = http.Header{"Content-Type": {kind}}
		if right {
			value += hex.EncodeToString(sign(body, secret))
		}
		req.Header.Set(proof, value)
		req.Header.Set(event, kindOfEvent)
		req.Header.Set("X-Github-Delivery", id)
		w := l.serve(req)
		known := false
		for i := range forges {
			known = known || forges[i].proves(req.Header, body, secret)
		}
		if l.asked.Load() > 0 && (!known || w.Code != 202) {
			t.Errorf("asked by %v with %d", req.Header, w.Code)
		}
		if l.Stats().Crashed > 0 {
			t.Errorf("crashed: %v %q", req.Header, body)
		}
	})
}
