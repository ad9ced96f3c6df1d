package source

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

const (
	sshArmor    = "-----BEGIN SSH SIGNATURE-----"
	sshArmorEnd = "-----END SSH SIGNATURE-----"
	// gitNamespace is what git signs for; a signature for a file or a mail is no
	// signature of a commit.
	gitNamespace = "git"
)

// sshSignature is the content of an SSH signature, behind its magic "SSHSIG".
// See PROTOCOL.sshsig of OpenSSH.
type sshSignature struct {
	Version   uint32
	PublicKey string
	Namespace string
	Reserved  string
	Hash      string
	Signature string
}

// verifySSH verifies an armored signature of a message, and returns the key that
// made it. It does not say whether the key is trusted.
func verifySSH(armored string, message []byte) (ssh.PublicKey, error) {
	body, found := strings.CutPrefix(strings.TrimSpace(armored), sshArmor)
	body, ended := strings.CutSuffix(body, sshArmorEnd)
	if !found || !ended {
		return nil, errors.New("it is cut off")
	}
	blob, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(body), ""))
	if err != nil {
		return nil, fmt.Errorf("decode: %w", err)
	}
	rest, ok := bytes.CutPrefix(blob, []byte("SSHSIG"))
	var sig sshSignature
	if !ok || ssh.Unmarshal(rest, &sig) != nil || sig.Version != 1 {
		return nil, errors.New("it is no SSH signature of version 1")
	}
	if sig.Namespace != gitNamespace {
		return nil, fmt.Errorf("it was made for %q, not for git", line(sig.Namespace, 50))
	}
	key, err := ssh.ParsePublicKey([]byte(sig.PublicKey))
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	var signature ssh.Signature
	if err := ssh.Unmarshal([]byte(sig.Signature), &signature); err != nil {
		return nil, fmt.Errorf("read signature: %w", err)
	}
	if !slices.Contains(strong, signature.Format) {
		return nil, fmt.Errorf("its algorithm %q is too weak, or not known", line(signature.Format, 50))
	}
	signed, err := sig.signed(message)
	if err != nil {
		return nil, err
	}
	if err := key.Verify(signed, &signature); err != nil {
		return nil, fmt.Errorf("it does not fit the commit: %w", err)
	}
	return key, nil
}

// strong are the algorithms that count: not ssh-rsa, which is SHA-1, nor DSA.
var strong = []string{
	ssh.KeyAlgoED25519, ssh.KeyAlgoSKED25519, ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSASHA512,
	ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoSKECDSA256,
}

// signed is what the key has signed: the message's hash, and what it is for.
func (s sshSignature) signed(message []byte) ([]byte, error) {
	var sum []byte
	switch s.Hash {
	case "sha256":
		h := sha256.Sum256(message)
		sum = h[:]
	case "sha512":
		h := sha512.Sum512(message)
		sum = h[:]
	default:
		return nil, fmt.Errorf("its hash %q is neither sha256 nor sha512", line(s.Hash, 50))
	}
	content := ssh.Marshal(struct{ Namespace, Reserved, Hash, Sum string }{s.Namespace, s.Reserved, s.Hash, string(sum)})
	return append([]byte("SSHSIG"), content...), nil
}

// allowed is a line of an allowed signers file.
type allowed struct {
	principals string
	key        ssh.PublicKey
	// namespaces are patterns; none means any.
	namespaces []string
	// after and before are zero when there is no bound.
	after, before time.Time
}

// whose finds out who may sign with a key at a time.
func whose(signers []allowed, key ssh.PublicKey, at time.Time) (string, error) {
	err := fmt.Errorf("the key %s is not among the allowed signers", ssh.FingerprintSHA256(key))
	for _, s := range signers {
		if !bytes.Equal(s.key.Marshal(), key.Marshal()) {
			continue
		}
		who := fmt.Sprintf("%s (SSH %s)", line(s.principals, 200), ssh.FingerprintSHA256(key))
		switch {
		case len(s.namespaces) > 0 && !slices.ContainsFunc(s.namespaces, func(p string) bool { return matches(p, gitNamespace) }):
			err = fmt.Errorf("%s may sign for %s, not for git", who, strings.Join(s.namespaces, ", "))
		case !s.after.IsZero() && at.Before(s.after):
			err = fmt.Errorf("%s may sign only after %s, and this was made at %s", who, s.after.Format(time.RFC3339), at.Format(time.RFC3339))
		case !s.before.IsZero() && !at.Before(s.before):
			err = fmt.Errorf("%s might sign until %s, and this was made at %s", who, s.before.Format(time.RFC3339), at.Format(time.RFC3339))
		default:
			return who, nil
		}
	}
	return "", err
}

// matches compares a name with a pattern of * and ?.
func matches(pattern, name string) bool {
	for pattern != "" {
		switch {
		case pattern[0] == '*':
			for at := range len(name) + 1 {
				if matches(pattern[1:], name[at:]) {
					return true
				}
			}
			return false
		case name == "" || pattern[0] != '?' && pattern[0] != name[0]:
			return false
		}
		pattern, name = pattern[1:], name[1:]
	}
	return name == ""
}
