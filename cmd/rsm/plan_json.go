package main

import (
	"io"
	"time"

	"rsm/reconcile"
)

// planJSON is one cluster of rsm plan --json: the plan, and what the cluster's
// windows say of it.
type planJSON struct {
	*reconcile.Plan
	// Window is left out while the windows let the cluster be changed.
	Window *closed `json:"window,omitempty"`
}

// writePlansJSON writes one document; from is the state file that the plans are
// for, nil when it is the servers.
func writePlansJSON(w io.Writer, plans []planned, from *stateFile) error {
	doc := struct {
		FormatVersion string `json:"format_version"`
		// Against tells of the file that stands for the servers.
		Against *againstJSON `json:"against,omitempty"`
		Plans   []planJSON   `json:"plans"`
	}{FormatVersion: formatVersion, Against: from.json(), Plans: []planJSON{}}
	for _, p := range plans {
		doc.Plans = append(doc.Plans, planJSON{p.plan, p.closed})
	}
	return writeJSON(w, doc)
}

type againstJSON struct {
	File string    `json:"file"`
	Time time.Time `json:"time"`
	// OtherSpec is true when the state was observed under another version of the spec.
	OtherSpec bool `json:"other_spec"`
}
