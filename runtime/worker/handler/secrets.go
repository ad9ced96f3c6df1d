package handler

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"rsm/schema"
)

// hidden stands where a secret was.
const hidden = "<secret>"

// secrets reads secrets and remembers them, so that what others say can be told
// without them.
type secrets struct {
	read  func(schema.Secret) (string, error)
	known []string
}

// get reads a secret; nil is "". One that cannot be read now may be there later.
func (s *secrets) get(from *schema.Secret) (string, error) {
	if from == nil {
		return "", nil
	}
	value, err := s.read(*from)
	if err == nil && value != "" {
		s.known = append(s.known, value)
	}
	return value, err
}

// redact replaces each secret that was read, also as it stands in a URL or in
// JSON.
func (s *secrets) redact(text string) string {
	var forms []string
	for _, value := range s.known {
		quoted, err := json.Marshal(value)
		if err == nil {
			forms = append(forms, string(quoted[1:len(quoted)-1]))
		}
		forms = append(forms, value, url.QueryEscape(value), url.PathEscape(value))
	}
	slices.SortFunc(forms, func(a, b string) int { return len(b) - len(a) }) // one may be a part of another
	for _, form := range forms {
		text = strings.ReplaceAll(text, form, hidden)
	}
	return text
}
