package observe

import (
	"fmt"
	"strings"

	"rsm/schema"
)

// SecretError tells that a password of the spec cannot be read. Nothing is
// observed without it: a server that refuses rsm would look like a broken one.
type SecretError struct {
	Cluster string
	// Field is where the spec refers to it: "auth.password" or
	// "auth.sentinelPassword".
	Field string
	Ref   schema.Secret
	Err   error
}

// Error names the reference and what to do, never the value.
func (e *SecretError) Error() string {
	fix := "set it where rsm runs"
	if e.Ref.Env == "" {
		fix = "write that file, readable for rsm,"
	}
	return fmt.Sprintf("observe %s: %s: %v; %s or change the reference", e.Cluster, e.Field, e.Err, fix)
}

// Unwrap returns the cause.
func (e *SecretError) Unwrap() error { return e.Err }

// key is a password in use, with its reference for messages. The zero key is "no
// password".
type key struct {
	value string
	ref   *schema.Secret
}

// keys are a cluster's passwords, read once per Observe.
type keys struct{ redis, sentinel key }

func readKeys(c *schema.Cluster) (keys, error) {
	var k keys
	for _, s := range []struct {
		field string
		ref   *schema.Secret
		into  *key
	}{
		{"auth.password", c.Auth.Password, &k.redis},
		{"auth.sentinelPassword", c.Auth.SentinelPassword, &k.sentinel},
	} {
		if s.ref == nil {
			continue
		}
		value, err := s.ref.Read()
		if err != nil {
			return keys{}, &SecretError{Cluster: c.Name, Field: s.field, Ref: *s.ref, Err: err}
		}
		*s.into = key{value: value, ref: s.ref}
	}
	return k, nil
}

// scrub takes the password out of a server's text: servers quote the arguments
// of a command that they do not know.
func (k key) scrub(text string) string {
	if k.value == "" {
		return text
	}
	return strings.ReplaceAll(text, k.value, "<"+k.ref.String()+">")
}
