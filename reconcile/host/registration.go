package host

import (
	"fmt"
	"path/filepath"

	"rsm/reconcile"
)

// Publish writes the cluster's registration for others to read; a reader sees
// the old or the new one, never a part.
func (h *Host) Publish(r reconcile.Registration) error {
	if err := checkNames(r.Cluster); err != nil {
		return fmt.Errorf("publish registration: %w", err)
	}
	if err := writeJSON(h.registrationPath(r.Cluster), r); err != nil {
		return fmt.Errorf("publish registration: %w", err)
	}
	return nil
}

// Record returns the registration that was published last, nil for none.
func (h *Host) Record(cluster string) (*reconcile.Registration, error) {
	var r reconcile.Registration
	ok, err := readJSON(h.registrationPath(cluster), &r)
	if err != nil {
		return nil, fmt.Errorf("read registration: %w", err)
	}
	if !ok {
		return nil, nil
	}
	return &r, nil
}

func (h *Host) registrationPath(cluster string) string {
	return filepath.Join(h.clusterDir(cluster), "registration.json")
}
