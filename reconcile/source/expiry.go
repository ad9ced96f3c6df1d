package source

import (
	"fmt"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
)

// Expiring names the keys that will count no more within a time from now, or
// already count no more, each with what will happen. It reads the files anew.
func (g *Git) Expiring(now time.Time, within time.Duration) ([]string, error) {
	if g.trust.Mode == TrustNone {
		return nil, nil
	}
	k, err := g.trust.keys()
	if err != nil {
		return nil, err
	}
	var found []string
	add := func(who string, end time.Time, then string) {
		if !end.IsZero() && end.Sub(now) < within {
			found = append(found, fmt.Sprintf("%s expires at %s: %s", who, end.UTC().Format(time.RFC3339), then))
		}
	}
	for _, block := range k.pgp {
		ring, err := openpgp.ReadArmoredKeyRing(strings.NewReader(block))
		if err != nil {
			return nil, fmt.Errorf("read keyring: %w", err)
		}
		for _, entity := range ring {
			name, end := lifetime(entity)
			add(name, end, "then not even what it has signed before is verified; have its owner extend it")
		}
	}
	for _, s := range k.ssh {
		add("SSH "+s.principals, s.before, "then its new commits are not verified")
	}
	return found, nil
}

// lifetime is the name of a key and when it ends, zero for never.
func lifetime(entity *openpgp.Entity) (name string, end time.Time) {
	name = "PGP " + entity.PrimaryKey.KeyIdString()
	id := entity.PrimaryIdentity()
	if id == nil {
		return name, end
	}
	name = line(id.Name, 200) + " (" + name + ")"
	if s := id.SelfSignature; s != nil && s.KeyLifetimeSecs != nil && *s.KeyLifetimeSecs != 0 {
		end = entity.PrimaryKey.CreationTime.Add(time.Duration(*s.KeyLifetimeSecs) * time.Second)
	}
	return name, end
}
