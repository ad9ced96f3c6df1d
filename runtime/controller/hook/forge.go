package hook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
)

// forge is how one kind of sender signs, and what it calls things.
type forge struct {
	name string
	// proof is the header with the signature; token says that it is the secret itself.
	proof  string
	prefix string // of the signature, before the hex
	token  bool
	// event and delivery are headers, "" when there is none.
	event, delivery string
	// pushes and pings are the events that ask, and that only try the way.
	pushes, pings []string
}

// forges in the order of their headers: Forgejo signs as Gitea, too, and both as
// GitHub. X-Hub-Signature is SHA-1 and proves nothing.
var forges = []forge{
	{name: "forgejo", proof: "X-Forgejo-Signature", event: "X-Forgejo-Event", delivery: "X-Forgejo-Delivery", pushes: []string{"push"}},
	{name: "gitea", proof: "X-Gitea-Signature", event: "X-Gitea-Event", delivery: "X-Gitea-Delivery", pushes: []string{"push"}},
	{name: "gogs", proof: "X-Gogs-Signature", event: "X-Gogs-Event", delivery: "X-Gogs-Delivery", pushes: []string{"push"}},
	{name: "github", proof: "X-Hub-Signature-256", prefix: "sha256=", event: "X-GitHub-Event", delivery: "X-GitHub-Delivery", pushes: []string{"push"}, pings: []string{"ping"}},
	{name: "gitlab", proof: "X-Gitlab-Token", token: true, event: "X-Gitlab-Event", delivery: "X-Gitlab-Event-UUID", pushes: []string{"Push Hook", "System Hook"}},
	{name: "generic", proof: "X-Signature", prefix: "sha256=", delivery: "X-Delivery"},
}

// sender finds who signed, nil when nobody did.
func sender(h http.Header) *forge {
	for i := range forges {
		if h.Get(forges[i].proof) != "" {
			return &forges[i]
		}
	}
	return nil
}

// proves tells whether the header shows that its sender knows the secret.
func (f *forge) proves(h http.Header, body []byte, secret string) bool {
	shown := h.Get(f.proof)
	if secret == "" || shown == "" {
		return false
	}
	if f.token {
		a, b := sha256.Sum256([]byte(shown)), sha256.Sum256([]byte(secret)) // so that not even its length shows
		return hmac.Equal(a[:], b[:])
	}
	digits, ok := strings.CutPrefix(shown, f.prefix)
	sum, err := hex.DecodeString(digits)
	return ok && err == nil && hmac.Equal(sum, sign(body, secret))
}

func sign(body []byte, secret string) []byte {
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = mac.Write(body)
	return mac.Sum(nil)
}

// Sign is the header of the generic form for a body: its name and its value.
func Sign(body []byte, secret string) (header, value string) {
	return "X-Signature", "sha256=" + hex.EncodeToString(sign(body, secret))
}

// Push is the body of the generic form. Every forge has Ref; without any ref it
// is not known what was pushed.
type Push struct {
	Ref  string   `json:"ref,omitempty"`
	Refs []string `json:"refs,omitempty"`
}

// read takes the hint out of a body.
func read(body []byte) (refs []string, err error) {
	var p Push
	if err := json.Unmarshal(body, &p); err != nil {
		return nil, err
	}
	if p.Ref != "" {
		p.Refs = append(p.Refs, p.Ref)
	}
	return p.Refs, nil
}
