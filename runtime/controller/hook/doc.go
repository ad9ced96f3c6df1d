// Package hook receives webhooks of forges and lets the service look at its
// repository sooner than the next poll.
//
//	h, err := hook.New(hook.Config{Branch: "main", Secrets: secrets, Ask: ask})
//	mux.Handle("/hook", h)
//
// A delivery that proves to know a secret asks, and does nothing else: what it
// says is a hint at most. So a delivery that is lost, late, replayed or invented
// by somebody who knows the secret costs one look at the repository, and what is
// deployed comes from there alone. Without a right signature nothing of a
// delivery is looked at.
package hook
