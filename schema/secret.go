package schema

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// Secret tells where a secret value is, never the value itself. Exactly one
// field is set.
type Secret struct {
	// Env is the name of an environment variable.
	Env string `json:"env,omitempty"`
	// File is an absolute path; the loader resolves paths relative to the spec
	// directory. One trailing newline of the content is not part of the secret.
	File string `json:"file,omitempty"`
}

// String names the reference, for plans and messages.
func (s Secret) String() string {
	if s.Env != "" {
		return "env:" + s.Env
	}
	return "file:" + s.File
}

// Read returns the secret's value.
func (s Secret) Read() (string, error) {
	value := ""
	if s.Env != "" {
		value = os.Getenv(s.Env)
	} else {
		content, err := os.ReadFile(s.File)
		if err != nil {
			return "", fmt.Errorf("read secret: %w", err)
		}
		value = strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r")
	}
	switch {
	case value == "" && s.Env != "":
		return "", fmt.Errorf("read secret: environment variable %s is not set", s.Env)
	case value == "":
		return "", fmt.Errorf("read secret: file %s is empty", s.File)
	case strings.ContainsAny(value, "\r\n\x00"):
		return "", errors.New("read secret " + s.String() + ": it has a line break or NUL byte, which redis.conf cannot hold")
	}
	return value, nil
}
