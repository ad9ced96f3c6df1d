package notify

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"

	"rsm/runtime/controller/ledger"
)

// Webhook posts events as JSON. One may arrive twice: when its first answer got
// lost.
type Webhook struct {
	// URL and Secret are read for each event; Secret may be nil.
	URL, Secret func() (string, error)
}

// Send posts the event; with a secret X-Signature is "sha256=" and the
// HMAC-SHA256 of the body in hex.
func (w Webhook) Send(ctx context.Context, e ledger.Event) error {
	body, err := encode(e)
	if err != nil {
		return err
	}
	header := http.Header{"X-Rsm-Event": {e.Type}}
	if w.Secret != nil {
		secret, err := w.Secret()
		if err != nil {
			return err
		}
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(body)
		header.Set("X-Signature", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	}
	address, err := w.URL()
	if err != nil {
		return err
	}
	return post(ctx, address, header, body)
}

// Slack posts to an incoming webhook of Slack, or of what takes its form.
type Slack struct {
	// URL is read for each event.
	URL func() (string, error)
}

// slackText is the longest text of a block.
const slackText = 2500

// slackEscape keeps what others wrote, such as the subject of a commit, from
// being a link or calling everybody.
var slackEscape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// Send posts the event as a text, and as blocks for those who show them.
func (s Slack) Send(ctx context.Context, e ledger.Event) error {
	address, err := s.URL()
	if err != nil {
		return err
	}
	sign := map[string]string{"warning": ":warning: ", "error": ":x: "}[e.Level]
	text := sign + "*" + e.Type + "* "
	if e.Cluster != "" {
		text += e.Cluster + ": "
	}
	text += slackEscape.Replace(cut(e.Message, slackText))
	type part map[string]any
	blocks := []part{{"type": "section", "text": part{"type": "mrkdwn", "text": text}}}
	if about := about(e); about != "" {
		blocks = append(blocks, part{"type": "context", "elements": []part{{"type": "mrkdwn", "text": about}}})
	}
	body, err := encode(part{"text": text, "blocks": blocks})
	if err != nil {
		return err
	}
	return post(ctx, address, http.Header{}, body)
}

// about names the commit and the attempt.
func about(e ledger.Event) string {
	var words []string
	if e.Commit != "" {
		words = append(words, "commit `"+e.Commit[:min(10, len(e.Commit))]+"`")
	}
	if e.Attempt != 0 {
		words = append(words, "`rsm show "+strconv.Itoa(e.Attempt)+"`")
	}
	return strings.Join(words, ", ")
}
