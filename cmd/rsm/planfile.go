package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"rsm/internal/atomicfile"
	"rsm/reconcile"
	"rsm/schema"
)

// planFile is a saved plan. It is an approval: it holds everything that apply
// needs, so that what was shown is what is done. It holds no secrets, only where
// to find them.
type planFile struct {
	FormatVersion string            `json:"format_version"`
	RSM           string            `json:"rsm_version"`
	ID            string            `json:"id"`
	Created       time.Time         `json:"created"`
	StateDir      string            `json:"state_dir"`
	Allow         []string          `json:"allow,omitempty"`
	Spec          *schema.Spec      `json:"spec"`
	Plans         []*reconcile.Plan `json:"plans"`
	// Sum is the SHA-256 of the document with an empty Sum: a plan that was
	// edited is no approval.
	Sum string `json:"sha256"`
}

func newPlanFile(d *deployment, allow []string, plans []planned) *planFile {
	file := &planFile{
		FormatVersion: formatVersion, RSM: version, ID: rand.Text(), Created: time.Now().UTC(),
		StateDir: d.host.Dir, Allow: allow, Spec: &schema.Spec{Hosts: d.spec.Hosts, Digest: d.spec.Digest, Positions: d.spec.Positions},
	}
	for _, p := range plans {
		file.Spec.Clusters = append(file.Spec.Clusters, p.cluster)
		file.Plans = append(file.Plans, p.plan)
	}
	return file
}

func (f *planFile) sum() (string, error) {
	bare := *f
	bare.Sum = ""
	text, err := json.Marshal(bare)
	if err != nil {
		return "", fmt.Errorf("encode plan: %w", err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

// savePlan writes the plan for its owner only.
func savePlan(path string, f *planFile) (err error) {
	if f.Sum, err = f.sum(); err != nil {
		return err
	}
	text, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("encode plan: %w", err)
	}
	if err := atomicfile.Write(path, append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("save plan: %w", err)
	}
	return nil
}

// isPlanFile tells a saved plan from a spec by its name and kind.
func isPlanFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && !strings.HasSuffix(path, ".cue")
}

func readPlan(path string) (*planFile, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read plan: %w", err)
	}
	var f planFile
	if err := json.Unmarshal(text, &f); err != nil {
		return nil, fmt.Errorf("read plan %s: it is neither a spec (a directory or a .cue file) nor a saved plan: %w", path, err)
	}
	if major, _, _ := strings.Cut(f.FormatVersion, "."); major != "1" {
		return nil, refused("plan %s has format version %q, this rsm reads 1: make it anew", path, f.FormatVersion)
	}
	if sum, err := f.sum(); err != nil || sum != f.Sum {
		return nil, refused("plan %s was changed after it was saved: make it anew", path)
	}
	return &f, nil
}

// unused is an error when the plan was applied before.
func (f *planFile) unused() error {
	if _, err := os.Stat(filepath.Join(f.StateDir, "plans", f.ID)); err == nil {
		return refused("this plan was applied before; a saved plan is good for one apply: make it anew")
	}
	return nil
}

// use marks the plan as used in its state directory; a second use is refused.
func (f *planFile) use() error {
	dir := filepath.Join(f.StateDir, "plans")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("mark plan as used: %w", err)
	}
	mark, err := os.OpenFile(filepath.Join(dir, f.ID), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return f.unused()
	}
	if err != nil {
		return fmt.Errorf("mark plan as used: %w", err)
	}
	return mark.Close()
}
