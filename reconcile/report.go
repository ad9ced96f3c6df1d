package reconcile

import (
	"reflect"
	"time"
)

// Report tells what an apply did.
type Report struct {
	Cluster  string        `json:"cluster"`
	Steps    []Result      `json:"steps"`
	Replans  int           `json:"replans,omitempty"`
	Duration time.Duration `json:"nanoseconds"`
	// Err is why it ended early, with its text in Error.
	Err   error  `json:"-"`
	Error string `json:"error,omitempty"`
	// Remaining is the plan for what is left, nil when the deployment could not
	// be observed any more.
	Remaining *Plan `json:"remaining"`
}

// Result is the outcome of one step.
type Result struct {
	Step Step `json:"step"`
	// Status is done, skipped (nothing was left to do), failed or not started.
	Status   string        `json:"status"`
	Duration time.Duration `json:"nanoseconds"`
	Error    string        `json:"error,omitempty"`
}

func (r *Report) add(step Step, status string, took time.Duration, err error) {
	result := Result{Step: step, Status: status, Duration: took}
	if err != nil {
		result.Error = err.Error()
	}
	r.Steps = append(r.Steps, result)
}

func (r *Report) has(step Step) bool {
	return len(r.Steps) > 0 && reflect.DeepEqual(r.Steps[len(r.Steps)-1].Step, step)
}

// failed reports whether the step, the last one, was tried and failed.
func (r *Report) failed(step Step) bool {
	return r.has(step) && r.Steps[len(r.Steps)-1].Status == "failed"
}

// Count is how many steps ended with the status.
func (r *Report) Count(status string) int {
	n := 0
	for _, result := range r.Steps {
		if result.Status == status {
			n++
		}
	}
	return n
}

// Converged reports whether nothing is left to do and nothing is held.
func (r *Report) Converged() bool { return r.Err == nil && r.Remaining != nil && r.Remaining.Empty() }
