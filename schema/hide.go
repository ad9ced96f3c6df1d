package schema

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"cuelang.org/go/cue"
)

// aroundSecret tells whether a path is where a secret may have been written by
// mistake.
func aroundSecret(path string) bool {
	return strings.Contains(path, ".auth.") || strings.Contains(path, ".admin.token.") || serviceSecret.MatchString(path) || operationsSecret.MatchString(path)
}

// operationsSecret are the places of secrets in handlers and queues, and those where
// one is written by mistake.
var operationsSecret = regexp.MustCompile(`^(handlers\.[^.]+\.(email\.password|webhook\.(to|url|secret|(headers|headerSecrets)\.[^.]+)|slack\.url|exec\.secrets\.[^.]+|rsm\.(url|token))|queues\.[^.]+\.tasks\..+\.secrets\.[^.]+)(\.|$)`)

// serviceSecret are the places of secrets in the configuration of a service.
var serviceSecret = regexp.MustCompile(`^(token|webhook\.secrets|source\.auth|source\.git|notify\[[0-9]+\]\.(url|secret|token))([.[]|$)`)

// literalSecret refuses a secret that is written down.
func (w *walker) literalSecret(v cue.Value, path string) {
	w.hide(v)
	w.report(CodeSecret, path, false, "a password must not be written in a spec (it is *** here)").Hint =
		`write {env: "NAME"} or {file: "PATH"}, and change the password: git remembers this one`
}

// hide remembers the texts in a value as secrets.
func (w *walker) hide(v cue.Value) {
	v.Walk(func(v cue.Value) bool {
		if v.IsConcrete() && v.Kind()&(cue.StringKind|cue.NumberKind) != 0 {
			w.secrets[fmt.Sprint(scalar(v, true))] = true
		}
		return true
	}, nil)
}

// scrub removes secrets from problems, wherever they come from. Longer ones go
// first, as one may contain another.
func scrub(problems Problems, secrets map[string]bool) {
	values := slices.SortedFunc(maps.Keys(secrets), func(a, b string) int { return len(b) - len(a) })
	for i := range problems {
		p := &problems[i]
		for _, value := range values {
			if value == "" {
				continue
			}
			if strings.Contains(p.Source, value) {
				p.Source = ""
			}
			if p.Code != CodeSecret {
				p.Message = strings.ReplaceAll(p.Message, value, "***")
				p.Hint = strings.ReplaceAll(p.Hint, value, "***")
			}
		}
	}
}
