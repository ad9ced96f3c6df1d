package handler

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"

	"rsm/schema"
)

// webhook posts the payload.
func (r *run) webhook(ctx context.Context, w *schema.Webhook) (string, error) {
	q, err := r.webhookRequest(w)
	if err != nil {
		return "", err
	}
	return r.post(ctx, q, w.CA, w.Timeout)
}

func (r *run) webhookRequest(w *schema.Webhook) (request, error) {
	q := request{method: w.Method, address: w.To, header: r.header(), body: r.message.payload}
	if q.method == "" {
		q.method = http.MethodPost
	}
	if w.Body != "" {
		body, err := renderText("body", w.Body, r.message)
		if err != nil {
			return q, err
		}
		q.body = []byte(body)
		if !json.Valid(q.body) {
			q.header.Set("Content-Type", "text/plain; charset=utf-8")
		}
	}
	for name, value := range w.Headers {
		q.header.Set(name, value)
	}
	for name, from := range w.HeaderSecrets {
		value, err := r.secrets.get(&from)
		if err != nil {
			return q, err
		}
		q.header.Set(name, value)
	}
	if w.URL != nil {
		address, err := r.secrets.get(w.URL)
		if err != nil {
			return q, err
		}
		q.address = strings.TrimSpace(address)
	}
	secret, err := r.secrets.get(w.Secret)
	if err == nil && w.Secret != nil {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(q.body)
		q.header.Set("X-Rsm-Signature", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	}
	return q, err
}

// header is what every request has. The id of the task tells a receiver that it
// gets the same again.
func (r *run) header() http.Header {
	return http.Header{
		"Content-Type":    {"application/json"},
		"User-Agent":      {"rsm"},
		"Idempotency-Key": {r.task.ID},
		"X-Rsm-Handler":   {r.handler.Name},
	}
}

// askServe asks a running rsm serve to look at its deployments now.
func (r *run) askServe(ctx context.Context, a *schema.AskServe) (string, error) {
	q, err := r.askRequest(a)
	if err != nil {
		return "", err
	}
	return r.post(ctx, q, a.CA, a.Timeout)
}

func (r *run) askRequest(a *schema.AskServe) (request, error) {
	const path = "/api/v1/reconcile"
	q := request{method: http.MethodPost, header: r.header()}
	q.address = strings.TrimSuffix(strings.TrimRight(a.URL, "/"), path) + path
	token, err := r.secrets.get(a.Token)
	if token != "" {
		q.header.Set("Authorization", "Bearer "+token)
	}
	return q, err
}
