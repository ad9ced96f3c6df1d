package proxy

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"rsm/runtime/proxy/relay"
)

// askTime is for how long event loops may take to answer.
const askTime = 2 * time.Second

// number reads a number from a query, between 1 and most.
func number(query url.Values, name string, otherwise, most int) (int, error) {
	text := query.Get(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, fmt.Errorf("%s is not a number from 1 to %d: %q", name, most, text)
	}
	return n, nil
}

// table answers with a list, of which the query gives the limit.
func table(w http.ResponseWriter, r *http.Request, list func(ctx context.Context, limit int) (any, error)) {
	limit, err := number(r.URL.Query(), "limit", 100, 10_000)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), askTime)
	defer cancel()
	value, err := list(ctx, limit)
	writeJSON(w, value, err)
}

// serveClients tells who is connected: those first who sent the most requests, or
// what ?sort= says.
func (p *Proxy) serveClients(w http.ResponseWriter, r *http.Request) {
	order := relay.Order(r.URL.Query().Get("sort"))
	switch order {
	case "":
		order = relay.ByRequests
	case relay.ByRequests, relay.ByBytes, relay.ByIdle:
	default:
		http.Error(w, "sort is requests, bytes or idle", http.StatusBadRequest)
		return
	}
	table(w, r, func(ctx context.Context, limit int) (any, error) {
		clients, err := p.relay.Clients(ctx, order, limit)
		return struct {
			Sort    relay.Order          `json:"sort"`
			Clients []relay.ClientReport `json:"clients"`
		}{order, orEmpty(clients)}, err
	})
}

// serveSlow tells the last requests that were slow.
func (p *Proxy) serveSlow(w http.ResponseWriter, r *http.Request) {
	table(w, r, func(ctx context.Context, limit int) (any, error) {
		slow, err := p.relay.Slow(ctx, limit)
		return struct {
			Threshold float64      `json:"threshold_seconds"`
			Requests  []relay.Slow `json:"requests"`
		}{p.role.Load().Proxy.SlowLog.Seconds(), orEmpty(slow)}, err
	})
}

// serveHotKeys tells which keys are asked for most often.
func (p *Proxy) serveHotKeys(w http.ResponseWriter, r *http.Request) {
	table(w, r, func(ctx context.Context, limit int) (any, error) {
		keys, counted, err := p.relay.HotKeys(ctx, limit)
		return struct {
			// Requests are all that have a key, as an estimate.
			Requests uint64         `json:"requests"`
			Keys     []relay.HotKey `json:"keys"`
		}{counted, orEmpty(keys)}, err
	})
}

// serveBigReplies tells which replies are the biggest.
func (p *Proxy) serveBigReplies(w http.ResponseWriter, r *http.Request) {
	table(w, r, func(ctx context.Context, limit int) (any, error) {
		replies, err := p.relay.BigReplies(ctx, limit)
		return struct {
			Replies []relay.BigReply `json:"replies"`
		}{orEmpty(replies)}, err
	})
}

// orEmpty makes an empty list [] in JSON, not null.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
