// Package web has what the HTTP interfaces of rsm share.
package web

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
)

// Admit reports whether a request has the bearer token, and answers it when it
// has not. read is called each time, so that another token in the same place
// counts at once; nil means that none is declared, and nobody is admitted.
func Admit(w http.ResponseWriter, r *http.Request, read func() (string, error), log *slog.Logger) bool {
	if read == nil {
		http.Error(w, "no token is declared, so nobody may", http.StatusForbidden)
		return false
	}
	token, err := read()
	if err != nil {
		log.Error("read token", "error", err)
		http.Error(w, "the token cannot be read", http.StatusServiceUnavailable)
		return false
	}
	scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	have, want := sha256.Sum256([]byte(strings.TrimSpace(given))), sha256.Sum256([]byte(token))
	if subtle.ConstantTimeCompare(have[:], want[:]) == 1 && strings.EqualFold(scheme, "Bearer") {
		return true
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="rsm"`)
	http.Error(w, "give the token: Authorization: Bearer TOKEN", http.StatusUnauthorized)
	return false
}

// WriteJSON answers with a value.
func WriteJSON(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(value) // whoever does not read on does not want it
}
