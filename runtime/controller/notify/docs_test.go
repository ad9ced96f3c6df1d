package notify

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"rsm/schema"
)

// The table of docs/gitops.md has the events that a configuration may name.
func TestDocsListEvents(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "gitops.md"))
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, row := range regexp.MustCompile("(?m)^\\| (`[a-z.`, -]+`) \\|").FindAllSubmatch(text, -1) {
		for _, name := range regexp.MustCompile("[a-z.-]+").FindAllString(string(row[1]), -1) {
			if slices.Contains(schema.Events(), name) {
				listed = append(listed, name)
			}
		}
	}
	slices.Sort(listed)
	if want := slices.Sorted(slices.Values(schema.Events())); !slices.Equal(listed, want) {
		t.Errorf("docs/gitops.md lists %v, want %v", listed, want)
	}
}
