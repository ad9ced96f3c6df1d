package reconcile

import (
	"strings"
	"testing"
)

func TestParseAllow(t *testing.T) {
	t.Parallel()
	allow, err := ParseAllow([]string{"prune, promote=r2", "data-loss=r1,data-loss=r3", ""})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		kind, node string
		has        bool
	}{
		{AllowPrune, "", true}, {AllowPrune, "r9", true}, {AllowClients, "", false},
		{AllowPromote, "r2", true}, {AllowPromote, "r1", false}, {AllowPromote, "", false},
		{AllowDataLoss, "r1", true}, {AllowDataLoss, "r3", true}, {AllowDataLoss, "r2", false},
	} {
		if got := allow.Has(tt.kind, tt.node); got != tt.has {
			t.Errorf("Has(%q, %q) = %v", tt.kind, tt.node, got)
		}
	}
	if Allow(nil).Has(AllowPrune, "") || Allow(nil).Has(AllowPromote, "r1") {
		t.Error("nothing was released, but something is")
	}
}

func TestParseAllowErrors(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]string{
		"all":           "the kinds are",
		"restart":       "the kinds are",
		"prune=r1":      "takes no node",
		"clients=r1":    "takes no node",
		"promote":       "promote=r2",
		"data-loss=":    "data-loss=r2",
		"prune,promote": "promote=r2",
	} {
		if allow, err := ParseAllow([]string{word}); err == nil || allow != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseAllow(%q) = %v, %v; want an error with %q", word, allow, err, want)
		}
	}
}
