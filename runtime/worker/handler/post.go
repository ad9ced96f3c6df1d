package handler

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// request is what is posted, as it can be shown.
type request struct {
	method, address string
	header          http.Header
	body            []byte
}

// httpTime bounds a request that has no limit of its own.
const httpTime = 10 * time.Second

// maxRetryAfter is the longest wait that a receiver may ask for.
const maxRetryAfter = 24 * time.Hour

// post sends a request and judges the answer: 2xx is done; 408, 425, 429, 5xx and
// silence may be better later; what else the receiver says is final. A redirect is
// not followed, as the body is meant for nobody else.
func (r *run) post(ctx context.Context, q request, ca string, limit time.Duration) (string, error) {
	if limit <= 0 {
		limit = httpTime
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, q.method, q.address, bytes.NewReader(q.body))
	if err != nil {
		return "", permanent("post: the address or the method is of no use: %w", plainURLError(err))
	}
	if req.URL.Scheme != "http" && req.URL.Scheme != "https" || req.URL.Host == "" {
		return "", permanent("post: the address is neither http:// nor https:// with a host")
	}
	for name, values := range q.header {
		if strings.ContainsAny(name+values[0], "\r\n\x00") {
			return "", permanent("post to %s: header %q holds a line break", req.URL.Host, name)
		}
		if http.CanonicalHeaderKey(name) == "Host" {
			req.Host = values[0]
		}
	}
	req.Header = q.header
	transport := &http.Transport{DialContext: r.Dial, Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}
	if transport.TLSClientConfig, err = trust(ca, ""); err != nil {
		return "", err
	}
	client := http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(ctx.Err(), context.DeadlineExceeded) {
			err = fmt.Errorf("no answer within %s: %w", limit, plainURLError(err))
		}
		return "", fmt.Errorf("post to %s: %w", req.URL.Host, plainURLError(err))
	}
	defer res.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(res.Body, 4*longest)) // the status counts
	answer := brief(res.Status + " " + string(said))
	if err := judge(res, answer, r.Now()); err != nil {
		return "", fmt.Errorf("post to %s: %w", req.URL.Host, err)
	}
	return answer, nil
}

// judge is the error that an answer means, nil for none.
func judge(res *http.Response, answer string, now time.Time) error {
	err := fmt.Errorf("it answers %s", answer)
	switch code := res.StatusCode; {
	case code >= 200 && code <= 299:
		return nil
	case code == http.StatusRequestTimeout, code == http.StatusTooEarly, code == http.StatusTooManyRequests, code >= 500:
		v := &verdict{error: err}
		v.after, v.timed = retryAfter(res.Header.Get("Retry-After"), now)
		return v
	case code >= 300 && code <= 399:
		return permanent("%w: redirects are not followed, so give the address that it leads to", err)
	}
	return permanent("%w", err)
}

// retryAfter reads the header of RFC 9110 §10.2.3: seconds or a date. One that says
// "now" is none: the back-off spares who says so to everybody.
func retryAfter(text string, now time.Time) (wait time.Duration, ok bool) {
	if seconds, err := strconv.ParseUint(strings.TrimSpace(text), 10, 31); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		wait = at.Sub(now)
	}
	if wait <= 0 {
		return 0, false
	}
	return min(wait, maxRetryAfter), true
}

// plainURLError is the error without the address, whose path or query may be a
// secret.
func plainURLError(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Addr == nil && dial.Err != nil {
		return dial.Err
	}
	return err
}

// show writes the request as it goes over the wire, for people.
func (q request) show() string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s %s\n", q.method, q.address)
	_ = q.header.Write(&out) // a Builder takes all
	fmt.Fprintf(&out, "\n%s\n", q.body)
	return strings.ReplaceAll(out.String(), "\r\n", "\n")
}

// asJSON writes a value as JSON on one line, with < and > as they are.
func asJSON(value any) (string, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return strings.TrimSpace(out.String()), err
}
