package reconcile

import "fmt"

// Impact is what clients of a cluster may notice of a step, mildest first.
type Impact int

// The impacts, in the order of their weight.
const (
	ImpactNone Impact = iota
	ImpactRestart
	ImpactFailover
	ImpactFullSync
	ImpactDataLoss
)

var impactNames = [...]string{"none", "restart", "failover", "full sync", "data loss"}

// String is the word that plans use.
func (i Impact) String() string {
	if i < 0 || int(i) >= len(impactNames) {
		return fmt.Sprintf("impact(%d)", int(i))
	}
	return impactNames[i]
}

// MarshalText makes an Impact its word in JSON.
func (i Impact) MarshalText() ([]byte, error) { return []byte(i.String()), nil }

// UnmarshalText reads the word.
func (i *Impact) UnmarshalText(text []byte) error {
	for n, name := range impactNames {
		if name == string(text) {
			*i = Impact(n)
			return nil
		}
	}
	return fmt.Errorf("decode impact %q: not one of %v", text, impactNames)
}
