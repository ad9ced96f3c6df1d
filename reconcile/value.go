package reconcile

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"rsm/schema"
)

// ManagedConfig is every directive that rsm keeps equal on a node: those of the
// spec, and the three that make a node a proper replica. A directive that the
// spec sets itself wins.
func ManagedConfig(n schema.RedisNode) map[string]string {
	managed := map[string]string{
		"replica-priority":  strconv.Itoa(n.Priority),
		"replica-read-only": "yes",
		"replica-announced": "yes",
	}
	maps.Copy(managed, n.Config)
	return managed
}

// SameValue reports whether two values of a directive mean the same to Redis,
// however they are written: 1gb and 1073741824, Yes and yes, one class of
// client-output-buffer-limit and the full list that CONFIG GET answers.
func SameValue(key, have, want string) bool {
	if key == "client-output-buffer-limit" {
		return sameBufferLimits(have, want)
	}
	have, want = normal(have), normal(want)
	if have == want {
		return true
	}
	switch key {
	case "notify-keyspace-events":
		return sameLetters(have, want)
	case "dir", "dbfilename", "appendfilename", "appenddirname":
		return false
	}
	return strings.EqualFold(have, want) && !caseMatters(key)
}

// normal folds spaces and writes every memory amount as a plain number.
func normal(value string) string {
	fields := strings.Fields(value)
	for i, field := range fields {
		if n, ok := memory(field); ok {
			fields[i] = strconv.FormatInt(n, 10)
		}
	}
	return strings.Join(fields, " ")
}

// readable writes a memory amount that Redis gives in bytes in the unit of the
// spec's value, when it is a whole number of it.
func readable(have, want string) string {
	n, isNumber := memory(have)
	unit := strings.ToLower(strings.TrimLeft(want, "0123456789"))
	one, isMemory := memory("1" + unit)
	if !isNumber || !isMemory || unit == "" || n%one != 0 {
		return have
	}
	return strconv.FormatInt(n/one, 10) + unit
}

// caseMatters names the directives whose value is free text.
func caseMatters(key string) bool {
	return strings.HasSuffix(key, "file") || strings.HasPrefix(key, "tls-") || strings.HasSuffix(key, "-template")
}

// memory reads Redis' memory units.
func memory(text string) (int64, bool) { return schema.ParseSize(text) }

// sameBufferLimits compares only the classes that the spec names, since Redis
// answers all three and keeps the ones that were not set.
func sameBufferLimits(have, want string) bool {
	a, b := bufferLimits(have), bufferLimits(want)
	for class, limits := range b {
		if a[class] != limits {
			return false
		}
	}
	return len(b) > 0
}

func bufferLimits(value string) map[string]string {
	classes := map[string]string{}
	for chunk := range slices.Chunk(strings.Fields(normal(value)), 4) {
		if len(chunk) == 4 {
			class := strings.ToLower(chunk[0])
			if class == "slave" {
				class = "replica"
			}
			classes[class] = strings.Join(chunk[1:], " ")
		}
	}
	return classes
}

// sameLetters compares flags in which order does not matter; "A" stands for the
// classes g$lshztdxe (Redis 7.0 redis.conf).
func sameLetters(have, want string) bool {
	set := func(s string) string {
		letters := []byte(strings.ReplaceAll(s, "A", "g$lshztdxe"))
		slices.Sort(letters)
		return string(slices.Compact(letters))
	}
	return set(have) == set(want)
}
