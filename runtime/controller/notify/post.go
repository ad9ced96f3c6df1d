package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// statusError is an answer that is no success.
type statusError struct {
	code  int
	after time.Duration // what the receiver asks to wait
}

// Error is the answer without its text, which could repeat a secret.
func (e *statusError) Error() string {
	return fmt.Sprintf("the receiver answers %d %s", e.code, http.StatusText(e.code))
}

// finalError is one that will be the same next time.
type finalError struct{ error }

// Unwrap returns the cause.
func (e *finalError) Unwrap() error { return e.error }

// client follows no redirect: whoever is asked gets the token, and nobody else.
var client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// post sends a document. The address may hold secrets and is in no error.
func post(ctx context.Context, address string, header http.Header, body []byte) error {
	target, err := url.Parse(address)
	if err != nil || target.Host == "" {
		return &finalError{errors.New("its URL is none")}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), bytes.NewReader(body))
	if err != nil {
		return &finalError{errors.New("its URL is none")}
	}
	req.Header = header
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "rsm")
	res, err := client.Do(req)
	var outer *url.Error // says the URL
	if errors.As(err, &outer) {
		err = outer.Err
	}
	if err != nil {
		return fmt.Errorf("post: %w", err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 1<<16)) // so that the connection is used again
	return judge(res)
}

// judge makes an error of an answer.
func judge(res *http.Response) error {
	if res.StatusCode/100 == 2 {
		return nil
	}
	err := &statusError{code: res.StatusCode}
	if seconds, bad := strconv.Atoi(res.Header.Get("Retry-After")); bad == nil {
		err.after = time.Duration(seconds) * time.Second
	}
	switch {
	case res.StatusCode >= 500, res.StatusCode == http.StatusTooManyRequests, res.StatusCode == http.StatusRequestTimeout:
		return err
	}
	return &finalError{err}
}

// encode makes JSON; & and the like stay as they are.
func encode(doc any) ([]byte, error) {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(doc); err != nil {
		return nil, fmt.Errorf("encode event: %w", err)
	}
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), nil
}

// cut is at most n runes of a text.
func cut(text string, n int) string {
	if runes := []rune(text); len(runes) > n {
		return string(runes[:n-1]) + "…"
	}
	return text
}
