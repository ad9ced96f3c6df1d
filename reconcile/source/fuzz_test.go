package source

import (
	"strings"
	"testing"
	"unicode"
)

// FuzzSSHSignature: what a commit says is its signature comes from anybody.
func FuzzSSHSignature(f *testing.F) {
	f.Add(sshArmor+"\nU1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAg\n"+sshArmorEnd, "tree 1\n")
	f.Add(sshArmor+sshArmorEnd, "")
	f.Fuzz(func(t *testing.T, armored, message string) {
		if key, err := verifySSH(armored, []byte(message)); (key == nil) != (err != nil) {
			t.Errorf("%v %v", key, err)
		} else if err != nil && strings.ContainsFunc(err.Error(), unicode.IsControl) {
			t.Errorf("%q", err)
		}
	})
}

// FuzzAllowedSigners: a file either names somebody or is an error.
func FuzzAllowedSigners(f *testing.F) {
	f.Add(`"ada@example.com" namespaces="git,file",valid-after="20200101Z" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEv2gCnhvKPsEpEZ0eHkqRqvYyW4XwTdlMGQb5zHkJvC ada`)
	f.Add("# nobody\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		signers, err := parseAllowed(text)
		if (len(signers) == 0) != (err != nil) {
			t.Errorf("%v %v", signers, err)
		}
		for _, s := range signers {
			if s.key == nil {
				t.Errorf("no key in %q", text)
			}
		}
	})
}
