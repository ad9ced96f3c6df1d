package proxy

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"rsm/runtime/proxy/relay"
)

const (
	// accessReaders is how many may read the access log at a time.
	accessReaders = 4
	// accessRoom is how many lines wait for a slow reader.
	accessRoom = 8192
	// accessWrite is for how long a reader may take no line.
	accessWrite = 5 * time.Second
)

// serveAccess streams requests as they are answered, a JSON object in each line:
// one of 128, or with ?all=true all of them, for ?seconds=. The last line counts
// what was sent and what was dropped since the reader was too slow.
func (p *Proxy) serveAccess(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	seconds, err := number(query, "seconds", 10, 600)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	select {
	case p.readers <- struct{}{}:
		defer func() { <-p.readers }()
	default:
		http.Error(w, "enough others read the access log", http.StatusTooManyRequests)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), time.Duration(seconds)*time.Second)
	defer cancel()
	watch, stop := p.relay.Watch(query.Get("all") == "true", accessRoom)
	defer stop()
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := lines{control: http.NewResponseController(w), encoder: json.NewEncoder(w)}
	out.encoder.SetEscapeHTML(false)
	if out.flush() == nil && out.stream(ctx, watch) == nil {
		_ = out.encoder.Encode(struct {
			Sent    int    `json:"sent"`
			Dropped uint64 `json:"dropped"`
		}{out.sent, watch.Dropped()})
	}
}

// lines writes JSON lines to a reader that may go away.
type lines struct {
	control *http.ResponseController
	encoder *json.Encoder
	sent    int
}

// stream writes until ctx ends; the error is that of the connection. What is
// written is flushed when nothing more waits, and every 64 lines.
func (l *lines) stream(ctx context.Context, watch *relay.Watch) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case access := <-watch.C:
			if err := l.encoder.Encode(access); err != nil {
				return err
			}
			l.sent++
		}
		if len(watch.C) == 0 || l.sent%64 == 0 {
			if err := l.flush(); err != nil {
				return err
			}
		}
	}
}

// flush gives the reader its time anew.
func (l *lines) flush() error {
	if err := l.control.SetWriteDeadline(time.Now().Add(accessWrite)); err != nil {
		return err
	}
	return l.control.Flush()
}
