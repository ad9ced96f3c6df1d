package hook

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"mime"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Config is what a Receiver needs.
type Config struct {
	// Branch is the one that the service deploys. Pushes that are known to be to
	// another one do not ask; "" means that all do.
	Branch string
	// Secrets are read for each delivery, one or two of them: the second is for the
	// time of a change. A delivery needs to know one.
	Secrets []func() (string, error)
	// Ask has the service look. It is called once for each delivery that counts, by
	// any goroutine; it must not block.
	Ask func()
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Log is told of deliveries; nil means nobody is.
	Log *slog.Logger
}

const (
	// maxBody is what GitLab and Gitea may need for a large push; GitHub sends up
	// to 25 MB, but for pushes far less.
	maxBody = 1 << 20
	// reading is how long a body may take, and how long to wait until others are read.
	reading = 5 * time.Second
	// readers is how many bodies may be in memory at a time.
	readers = 16
)

// Receiver is an http.Handler for deliveries. Make one with New.
type Receiver struct {
	config Config
	bucket bucket
	seen   deliveries
	slots  chan struct{}
	counts struct{ received, asked, ignored, repeated, forged, malformed, limited, crashed atomic.Uint64 }
}

// Stats counts deliveries since the start. Received is the sum of the others.
type Stats struct {
	Received  uint64 `json:"received"`
	Asked     uint64 `json:"asked"`
	Ignored   uint64 `json:"ignored"`   // signed, but of another branch or no push
	Repeated  uint64 `json:"repeated"`  // signed, and known by its delivery id
	Forged    uint64 `json:"forged"`    // without a right signature
	Malformed uint64 `json:"malformed"` // too large, no JSON, no POST
	Limited   uint64 `json:"limited"`   // refused unread, after too many refused ones
	Crashed   uint64 `json:"crashed"`   // a bug, or a secret that cannot be read
}

// New prepares a Receiver. Without a secret there is none.
func New(config Config) (*Receiver, error) {
	if n := len(config.Secrets); n < 1 || n > 2 {
		return nil, fmt.Errorf("webhook: it needs one secret, or two while one is changed, got %d", n)
	}
	for _, secret := range config.Secrets {
		if value, err := secret(); err != nil {
			return nil, fmt.Errorf("webhook: %w", err)
		} else if value == "" {
			return nil, errors.New("webhook: the secret is empty")
		}
	}
	if config.Ask == nil {
		return nil, errors.New("webhook: nobody to ask")
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	return &Receiver{config: config, seen: deliveries{when: map[string]time.Time{}}, slots: make(chan struct{}, readers)}, nil
}

// Stats returns the counts of now.
func (r *Receiver) Stats() Stats {
	c := &r.counts
	return Stats{
		Received: c.received.Load(), Asked: c.asked.Load(), Ignored: c.ignored.Load(), Repeated: c.repeated.Load(),
		Forged: c.forged.Load(), Malformed: c.malformed.Load(), Limited: c.limited.Load(), Crashed: c.crashed.Load(),
	}
}

// answer is what a delivery gets.
type answer struct {
	code  int
	text  string
	count *atomic.Uint64
	retry time.Duration // for 429
	costs bool          // it was refused: it takes a token
}

// ServeHTTP takes one delivery and answers at once: 202 when it is signed, whether
// it asks or not, else what is wrong with it.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.counts.received.Add(1)
	defer func() {
		if crash := recover(); crash != nil {
			r.counts.crashed.Add(1)
			r.config.Log.Error("webhook crashed", "error", crash, "stack", string(debug.Stack()))
			http.Error(w, "the receiver crashed", http.StatusInternalServerError)
		}
	}()
	said := r.judge(w, req)
	if said.costs {
		r.bucket.take(r.config.Now())
	}
	level := slog.LevelDebug
	if said.code != http.StatusAccepted {
		level = slog.LevelWarn
	}
	r.config.Log.Log(req.Context(), level, "webhook", "code", said.code, "answer", said.text, "from", req.RemoteAddr)
	if said.retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(said.retry.Seconds()))))
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(said.code)
	_, _ = io.WriteString(w, said.text+"\n")
	said.count.Add(1)
}

// judge reads a delivery and asks if it counts.
func (r *Receiver) judge(w http.ResponseWriter, req *http.Request) answer {
	if wait := r.bucket.wait(r.config.Now()); wait > 0 {
		return answer{code: http.StatusTooManyRequests, text: "too many deliveries were refused", count: &r.counts.limited, retry: wait}
	}
	if bad := r.shape(w, req); bad.code != 0 {
		return bad
	}
	from := sender(req.Header)
	if from == nil {
		return r.forged(unsigned(req.Header))
	}
	body, bad := r.body(w, req)
	if bad.code != 0 {
		return bad
	}
	known, err := r.proven(from, req.Header, body)
	switch {
	case err != nil:
		r.config.Log.Error("webhook", "error", err)
		return answer{code: http.StatusInternalServerError, text: "the secret cannot be read", count: &r.counts.crashed}
	case !known:
		return r.forged("the signature does not match")
	}
	return r.signed(from, req.Header, body)
}

// shape looks at what can be judged without the body.
func (r *Receiver) shape(w http.ResponseWriter, req *http.Request) answer {
	kind, _, _ := mime.ParseMediaType(req.Header.Get("Content-Type"))
	switch {
	case req.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		return r.malformed(http.StatusMethodNotAllowed, "only POST")
	case kind == "application/x-www-form-urlencoded":
		return r.malformed(http.StatusUnsupportedMediaType, "set the content type of the webhook to application/json: a form is not read")
	case kind != "application/json":
		return r.malformed(http.StatusUnsupportedMediaType, "the content type must be application/json")
	case req.ContentLength > maxBody:
		return r.malformed(http.StatusRequestEntityTooLarge, "more than 1 MiB")
	}
	return answer{}
}

func (r *Receiver) malformed(code int, text string) answer {
	return answer{code: code, text: text, count: &r.counts.malformed, costs: true}
}

func (r *Receiver) forged(text string) answer {
	return answer{code: http.StatusUnauthorized, text: text, count: &r.counts.forged, costs: true}
}

// unsigned says why nothing in the headers proves anything.
func unsigned(h http.Header) string {
	if h.Get("X-Hub-Signature") != "" {
		return "X-Hub-Signature is SHA-1 and is not accepted: X-Hub-Signature-256 is missing"
	}
	return "it is not signed: set the secret of the webhook"
}

// body reads it, a few at a time.
func (r *Receiver) body(w http.ResponseWriter, req *http.Request) ([]byte, answer) {
	limited := answer{code: http.StatusTooManyRequests, text: "too many deliveries at a time", count: &r.counts.limited, retry: reading}
	timer := time.NewTimer(reading)
	defer timer.Stop()
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-timer.C:
		return nil, limited
	case <-req.Context().Done():
		return nil, limited
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(reading)) // not all writers can; the server has its own limit
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, r.malformed(http.StatusRequestEntityTooLarge, "more than 1 MiB")
	case err != nil:
		return nil, r.malformed(http.StatusBadRequest, "the body cannot be read")
	}
	return body, answer{}
}

// proven tries every secret. One that cannot be read is an error only when no
// other one is known.
func (r *Receiver) proven(from *forge, h http.Header, body []byte) (bool, error) {
	var failed error
	for _, secret := range r.config.Secrets {
		value, err := secret()
		switch {
		case err != nil:
			failed = err
		case from.proves(h, body, value):
			return true, nil
		}
	}
	return false, failed
}

// signed decides what a delivery of somebody who knows the secret is for.
func (r *Receiver) signed(from *forge, h http.Header, body []byte) answer {
	refs, err := read(body)
	if err != nil {
		return answer{code: http.StatusBadRequest, text: "the body is not the JSON of a push", count: &r.counts.malformed, costs: true}
	}
	accepted := func(count *atomic.Uint64, text string) answer {
		return answer{code: http.StatusAccepted, text: text, count: count}
	}
	event := ""
	if from.event != "" {
		event = h.Get(from.event)
	}
	id := ""
	if sent := h.Get(from.delivery); sent != "" {
		id = from.name + " " + sent
	}
	switch {
	case slices.Contains(from.pings, event):
		return accepted(&r.counts.ignored, "pong")
	case len(from.pushes) > 0 && !slices.Contains(from.pushes, event):
		return accepted(&r.counts.ignored, "ignored: not a push")
	case !r.ours(refs):
		return accepted(&r.counts.ignored, "ignored: not the branch "+r.config.Branch)
	case r.seen.repeated(id, r.config.Now()):
		return accepted(&r.counts.repeated, "ignored: it came before")
	}
	r.config.Ask()
	return accepted(&r.counts.asked, "asked")
}

// ours tells whether the branch may have changed. Without a ref it may.
func (r *Receiver) ours(refs []string) bool {
	return r.config.Branch == "" || len(refs) == 0 || slices.ContainsFunc(refs, func(ref string) bool {
		return strings.TrimPrefix(ref, "refs/heads/") == r.config.Branch
	})
}
