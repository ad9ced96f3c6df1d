package source

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// parseAllowed reads an allowed signers file, see ssh-keygen(1). A line that
// cannot be understood is an error: passing over it could drop a bound.
func parseAllowed(text string) ([]allowed, error) {
	var signers []allowed
	for i, row := range strings.Split(text, "\n") {
		row = strings.TrimSpace(row)
		if row == "" || row[0] == '#' {
			continue
		}
		s, err := parseSigner(row)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		signers = append(signers, s)
	}
	if len(signers) == 0 {
		return nil, errors.New("it names nobody")
	}
	return signers, nil
}

// parseSigner reads "principals [options] type key [comment]".
func parseSigner(row string) (allowed, error) {
	principals, rest, ok := field(row)
	if !ok {
		return allowed{}, errors.New("no key")
	}
	s := allowed{principals: strings.Trim(principals, `"`)}
	first, after, _ := field(rest)
	if !keyType(first) {
		if err := s.options(first); err != nil {
			return allowed{}, err
		}
		rest = after
	}
	// The parser would pass over options before the key, and so over bounds.
	if word, _, _ := field(rest); !keyType(word) {
		return allowed{}, errors.New("no key that can be understood")
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(rest))
	if err != nil {
		return allowed{}, errors.New("no key that can be understood")
	}
	s.key = key
	return s, nil
}

func keyType(word string) bool {
	for _, prefix := range []string{"ssh-", "ecdsa-sha2-", "sk-"} {
		if strings.HasPrefix(word, prefix) {
			return true
		}
	}
	return false
}

// field cuts a word off; blanks in double quotes belong to it.
func field(row string) (word, rest string, ok bool) {
	row = strings.TrimLeft(row, " \t")
	quoted := false
	for i := range len(row) {
		switch {
		case row[i] == '"':
			quoted = !quoted
		case !quoted && (row[i] == ' ' || row[i] == '\t'):
			return row[:i], row[i+1:], true
		}
	}
	return row, "", row != "" && !quoted
}

// options reads what stands between the principals and the key.
func (s *allowed) options(text string) error {
	for text != "" {
		var option string
		option, text = nextOption(text)
		name, value, _ := strings.Cut(option, "=")
		value = strings.Trim(value, `"`)
		var err error
		switch strings.ToLower(name) {
		case "namespaces":
			s.namespaces = strings.Split(value, ",")
		case "valid-after":
			s.after, err = parseTime(value)
		case "valid-before":
			s.before, err = parseTime(value)
		case "cert-authority":
			return errors.New("certificate authorities are not supported: list the keys themselves")
		default:
			return fmt.Errorf("option %q is not known", name)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// nextOption cuts at a comma outside of quotes.
func nextOption(text string) (option, rest string) {
	quoted := false
	for i := range len(text) {
		switch {
		case text[i] == '"':
			quoted = !quoted
		case text[i] == ',' && !quoted:
			return text[:i], text[i+1:]
		}
	}
	return text, ""
}

// parseTime reads YYYYMMDD[HHMM[SS]], in local time or, with a Z, in UTC.
func parseTime(text string) (time.Time, error) {
	zone := time.Local
	if bare, utc := strings.CutSuffix(text, "Z"); utc {
		text, zone = bare, time.UTC
	}
	for _, layout := range []string{"20060102", "200601021504", "20060102150405"} {
		if len(text) == len(layout) {
			return time.ParseInLocation(layout, text, zone)
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a time such as 20300131 or 203001312359Z", text)
}
