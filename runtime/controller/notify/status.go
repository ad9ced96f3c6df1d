package notify

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"rsm/runtime/controller/ledger"
)

// Status sets the status of commits in a forge: of each commit one for each
// cluster, "rsm/<cluster>", and "rsm" for whether it may be applied at all.
type Status struct {
	// Forge is github or gitea.
	Forge string
	// API is its address, such as https://api.github.com or
	// https://git.example.org/api/v1; Repo is "owner/name".
	API, Repo string
	// Token is read for each event.
	Token func() (string, error)
	// Target is where a status leads, empty for nowhere.
	Target string

	set map[string]string // by context: the commit and the state that were set last
}

// descriptionLength is what GitHub takes at most.
const descriptionLength = 140

// states are those of commits by the type of event. Others say nothing of a
// commit: a drift is healed without it.
var states = map[string]string{
	"commit.new":        "success",
	"commit.refused":    "failure",
	"commit.unverified": "error",
	"apply.start":       "pending",
	"apply.stopped":     "pending", // it goes on later
	"apply.done":        "success",
	"healed":            "success",
	"in-sync":           "success",
	"apply.failed":      "failure",
}

// Send sets the status that the event means, if it is another than before. It
// is called by one goroutine.
func (s *Status) Send(ctx context.Context, e ledger.Event) error {
	state := states[e.Type]
	if state == "" || e.Commit == "" {
		return nil
	}
	name := "rsm"
	if e.Cluster != "" {
		name += "/" + e.Cluster
	}
	if s.set[name] == e.Commit+state {
		return nil
	}
	token, err := s.Token()
	if err != nil {
		return err
	}
	body, err := encode(struct {
		State       string `json:"state"`
		Target      string `json:"target_url,omitempty"`
		Description string `json:"description"`
		Context     string `json:"context"`
	}{state, s.Target, cut(e.Message, descriptionLength), name})
	if err != nil {
		return err
	}
	if err := post(ctx, s.address(e.Commit), s.header(token), body); err != nil {
		return err
	}
	if s.set == nil {
		s.set = map[string]string{}
	}
	s.set[name] = e.Commit + state
	return nil
}

func (s *Status) address(commit string) string {
	owner, name, _ := strings.Cut(s.Repo, "/")
	return strings.TrimSuffix(s.API, "/") + "/repos/" + url.PathEscape(owner) + "/" + url.PathEscape(name) + "/statuses/" + url.PathEscape(commit)
}

func (s *Status) header(token string) http.Header {
	if s.Forge == "github" {
		return http.Header{"Authorization": {"Bearer " + token}, "Accept": {"application/vnd.github+json"}}
	}
	return http.Header{"Authorization": {"token " + token}}
}
