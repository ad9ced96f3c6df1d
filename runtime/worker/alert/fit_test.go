package alert

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestFit(t *testing.T) {
	t.Parallel()
	whole := Notification{Status: Firing, Reason: New, Rule: "hot"}
	for i := range 1000 {
		whole.Alerts = append(whole.Alerts, Item{Rule: "hot", Fingerprint: fmt.Sprint(i), Summary: strings.Repeat("s", 100),
			Event: json.RawMessage(`{"pad":"` + strings.Repeat("x", 1000) + `"}`)})
	}
	for _, c := range []struct {
		limit  int
		events bool
		least  int
	}{{4 << 20, true, 1000}, {800 << 10, false, 1000}, {100 << 10, false, 100}, {1000, false, 1}} {
		n := whole.Fit(c.limit)
		content, err := json.Marshal(n)
		if err != nil || len(content) > c.limit || len(n.Alerts) < c.least || len(n.Alerts)+n.More != 1000 || (n.Alerts[0].Event != nil) != c.events {
			t.Errorf("limit %d: %d bytes, %d alerts and %d more, event %v, %v", c.limit, len(content), len(n.Alerts), n.More, n.Alerts[0].Event != nil, err)
		}
	}
	if whole.Alerts[0].Event == nil {
		t.Error("the whole has changed")
	}
}
