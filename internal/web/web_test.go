package web

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestAdmit(t *testing.T) {
	t.Parallel()
	token := func() (string, error) { return "sesame", nil }
	for name, c := range map[string]struct {
		header string
		read   func() (string, error)
		want   int
	}{
		"the token":         {"Bearer sesame", token, http.StatusOK},
		"in lower case":     {"bearer sesame", token, http.StatusOK},
		"another one":       {"Bearer simsim", token, http.StatusUnauthorized},
		"a part of it":      {"Bearer sesam", token, http.StatusUnauthorized},
		"another scheme":    {"Basic sesame", token, http.StatusUnauthorized},
		"none":              {"", token, http.StatusUnauthorized},
		"none is declared":  {"Bearer ", nil, http.StatusForbidden},
		"it cannot be read": {"Bearer ", func() (string, error) { return "", errors.New("gone") }, http.StatusServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			w, r := httptest.NewRecorder(), httptest.NewRequest("POST", "/", nil)
			r.Header.Set("Authorization", c.header)
			if admitted := Admit(w, r, c.read, slog.New(slog.DiscardHandler)); admitted != (c.want == http.StatusOK) || w.Code != c.want {
				t.Errorf("admitted is %v, with %d; want %d", admitted, w.Code, c.want)
			}
		})
	}
}
