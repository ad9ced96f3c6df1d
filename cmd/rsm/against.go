package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"rsm/reconcile"
)

// stateFile is a file with the output of rsm status --json, which stands for the
// servers where they cannot be reached.
type stateFile struct {
	name      string
	time      time.Time
	states    map[string]*reconcile.State
	otherSpec bool
}

// statusDocument is rsm status --json.
type statusDocument struct {
	FormatVersion string    `json:"format_version"`
	Time          time.Time `json:"time"`
	// Spec is the digest of the spec that was looked at.
	Spec string `json:"spec,omitempty"`
	// Digest is the SHA-256 of clusters, without blanks: a state that was edited or
	// cut off is none.
	Digest   string `json:"digest,omitempty"`
	Clusters any    `json:"clusters"`
}

// newStatusDocument fills in what makes it a state file.
func newStatusDocument(spec string, now time.Time, clusters []*clusterStatus) (statusDocument, error) {
	doc := statusDocument{FormatVersion: formatVersion, Time: now.UTC(), Spec: spec, Clusters: clusters}
	var text bytes.Buffer
	if err := encodeJSON(&text, clusters); err != nil {
		return doc, err
	}
	digest, err := compactDigest(text.Bytes())
	doc.Digest = digest
	return doc, err
}

// compactDigest is the SHA-256 of JSON without the blanks between its tokens.
func compactDigest(text []byte) (string, error) {
	var compact bytes.Buffer
	if err := json.Compact(&compact, text); err != nil {
		return "", err
	}
	sum := sha256.Sum256(compact.Bytes())
	return hex.EncodeToString(sum[:]), nil
}

// readState reads a state file. spec is the digest of the spec that it is for.
func readState(path, spec string) (*stateFile, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read state: %w", err)
	}
	var clusters json.RawMessage
	doc := statusDocument{Clusters: &clusters}
	if err := json.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("read state %s: it is not the output of rsm status --json: %w", path, err)
	}
	if major, _, _ := strings.Cut(doc.FormatVersion, "."); major != "1" {
		return nil, refused("state %s has format version %q, this rsm reads 1: make it anew with rsm status --json", path, doc.FormatVersion)
	}
	if doc.Digest == "" {
		return nil, refused("state %s has no digest, an older rsm wrote it: make it anew with rsm status --json", path)
	}
	if digest, err := compactDigest(clusters); err != nil || digest != doc.Digest {
		return nil, refused("state %s was changed after it was written: make it anew with rsm status --json", path)
	}
	var seen []struct {
		Name  string           `json:"name"`
		State *reconcile.State `json:"state"`
	}
	if err := json.Unmarshal(clusters, &seen); err != nil {
		return nil, fmt.Errorf("read state %s: %w", path, err)
	}
	file := &stateFile{name: filepath.Base(path), time: doc.Time, states: map[string]*reconcile.State{}, otherSpec: doc.Spec != spec}
	for _, c := range seen {
		file.states[c.Name] = c.State
	}
	return file, nil
}

// label says what a plan was made against.
func (f *stateFile) label() string {
	text := fmt.Sprintf("against %s of %s", f.name, f.time.Format("2006-01-02 15:04:05 MST"))
	if f.otherSpec {
		text += ", which was made with another version of the spec"
	}
	return text
}

func (f *stateFile) json() *againstJSON {
	if f == nil {
		return nil
	}
	return &againstJSON{File: f.name, Time: f.time, OtherSpec: f.otherSpec}
}

// planAgainst plans every cluster with a state file instead of the servers. It
// opens no connection, and looks at nothing of this machine.
func (d *deployment) planAgainst(file *stateFile, now time.Time) ([]planned, error) {
	var plans []planned
	for _, c := range d.clusters {
		seen := file.states[c.Name]
		if seen == nil {
			return nil, refused("cluster %s is not in %s: make that anew with this spec, or choose another cluster with --cluster", c.Name, file.name)
		}
		plans = append(plans, planned{cluster: c, state: reconcile.Fit(c, seen), closed: closedAt(c, now)})
	}
	for name := range file.states {
		if d.spec.Cluster(name) == nil {
			fmt.Fprintf(d.con.err, "warning: cluster %s is in %s and not in this spec; it is left alone\n", name, file.name)
		}
	}
	return plans, d.decide(plans)
}
