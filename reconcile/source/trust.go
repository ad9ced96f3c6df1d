package source

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// Modes of Trust.
const (
	TrustNone  = ""
	TrustHead  = "head"  // the branch's commit must be signed
	TrustRange = "range" // and every commit since the last one
)

// Trust tells whose signatures count.
//
// A PGP key that has expired counts no more, whenever the commit was made: its
// owner has to extend it, or the commits have to be signed anew. A key in the
// allowed signers file counts from its valid-after to its valid-before, for
// commits that were made then, as for git itself.
type Trust struct {
	// Mode is TrustNone, TrustHead or TrustRange. Where there is no last commit,
	// range asks of the branch's commit alone.
	Mode string
	// PGPKeyrings are paths of armored public keys.
	PGPKeyrings []string
	// SSHAllowedSigners is the path of a file as ssh-keygen(1) describes it.
	SSHAllowedSigners string
}

// trust is Trust, ready to judge. The files are read for each judgement, since
// keys are added and withdrawn while the service runs.
type trust struct{ Trust }

func newTrust(t Trust) (*trust, error) {
	switch t.Mode {
	case TrustNone:
		return &trust{t}, nil
	case TrustHead, TrustRange:
	default:
		return nil, fmt.Errorf("trust: %q is neither head nor range", t.Mode)
	}
	if len(t.PGPKeyrings) == 0 && t.SSHAllowedSigners == "" {
		return nil, errors.New("trust: whose signatures? Give a PGP keyring, or a file of allowed SSH signers")
	}
	_, err := (&trust{t}).keys()
	return &trust{t}, err
}

// keys are those who may sign.
type keys struct {
	pgp []string // armored, one block each
	ssh []allowed
}

func (t *trust) keys() (keys, error) {
	var k keys
	for _, name := range t.PGPKeyrings {
		text, err := os.ReadFile(name)
		if err != nil {
			return k, fmt.Errorf("read keyring: %w", err)
		}
		blocks := armoredKeys(string(text))
		if len(blocks) == 0 {
			return k, fmt.Errorf("read keyring %s: it holds no armored public key; write one with gpg --export --armor", name)
		}
		k.pgp = append(k.pgp, blocks...)
	}
	if t.SSHAllowedSigners == "" {
		return k, nil
	}
	text, err := os.ReadFile(t.SSHAllowedSigners)
	if err != nil {
		return k, fmt.Errorf("read allowed signers: %w", err)
	}
	if k.ssh, err = parseAllowed(string(text)); err != nil {
		return k, fmt.Errorf("read allowed signers %s: %w", t.SSHAllowedSigners, err)
	}
	return k, nil
}

const armorEnd = "-----END PGP PUBLIC KEY BLOCK-----"

// armoredKeys cuts a file into its blocks; go-git reads the first one only.
func armoredKeys(text string) []string {
	var blocks []string
	for _, block := range strings.SplitAfter(text, armorEnd) {
		if at := strings.Index(block, "-----BEGIN PGP PUBLIC KEY BLOCK-----"); at >= 0 && strings.HasSuffix(block, armorEnd) {
			blocks = append(blocks, block[at:])
		}
	}
	return blocks
}

// judge verifies what the mode asks for, and returns who signed the commit.
// An error that is no ErrUnverified means that the cache cannot be read.
func (t *trust) judge(repo *git.Repository, commit *object.Commit, last plumbing.Hash) (signer string, err error) {
	if t.Mode == TrustNone {
		return "", nil
	}
	k, err := t.keys()
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrUnverified, err)
	}
	if signer, err = k.verify(commit); err != nil {
		return "", err
	}
	if t.Mode == TrustHead || last.IsZero() {
		return signer, nil
	}
	before, err := history(repo, last)
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return "", fmt.Errorf("%w: commit %s, the last one, is not in the repository any more, so nobody can tell which commits came since",
			ErrUnverified, last)
	}
	if err != nil {
		return "", err
	}
	since := object.NewCommitPreorderIter(commit, before, nil)
	err = since.ForEach(func(c *object.Commit) error {
		_, err := k.verify(c)
		return err
	})
	if err != nil {
		return "", err
	}
	return signer, nil
}

// signer is who signed one commit.
func (t *trust) signer(commit *object.Commit) (string, error) {
	if t.Mode == TrustNone {
		return "", nil
	}
	k, err := t.keys()
	if err != nil {
		return "", err
	}
	return k.verify(commit)
}

// history is a commit and all before it.
func history(repo *git.Repository, of plumbing.Hash) (map[plumbing.Hash]bool, error) {
	commit, err := repo.CommitObject(of)
	if err != nil {
		return nil, fmt.Errorf("read commit %s: %w", of, err)
	}
	all := map[plumbing.Hash]bool{}
	err = object.NewCommitPreorderIter(commit, nil, nil).ForEach(func(c *object.Commit) error {
		all[c.Hash] = true
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("walk back from %s: %w", of, err)
	}
	return all, nil
}

// verify returns who signed a commit, or ErrUnverified with what is wrong.
func (k keys) verify(commit *object.Commit) (string, error) {
	var signer string
	var err error
	switch signature := commit.PGPSignature; {
	case signature == "":
		err = errors.New("it is not signed")
	case strings.HasPrefix(signature, sshArmor):
		signer, err = k.verifySSH(commit)
	case strings.HasPrefix(signature, "-----BEGIN PGP SIGNATURE-----"):
		signer, err = k.verifyPGP(commit)
	default:
		err = errors.New("its signature is neither of PGP nor of SSH")
	}
	if err != nil {
		return "", fmt.Errorf("%w: commit %s by %s: %w", ErrUnverified, commit.Hash, line(commit.Author.Email, 100), err)
	}
	return signer, nil
}

func (k keys) verifyPGP(commit *object.Commit) (string, error) {
	if len(k.pgp) == 0 {
		return "", errors.New("it is signed with PGP, and no PGP key is trusted")
	}
	var failure error
	for _, block := range k.pgp {
		entity, err := commit.Verify(block)
		if err == nil {
			name := "PGP " + entity.PrimaryKey.KeyIdString()
			if id := entity.PrimaryIdentity(); id != nil {
				name = line(id.Name, 200) + " (" + name + ")"
			}
			return name, nil
		}
		// That another key did not make it says less than any other reason.
		if failure == nil || !strings.Contains(err.Error(), "unknown entity") {
			failure = err
		}
	}
	return "", fmt.Errorf("verify PGP signature: %s", line(failure.Error(), 200))
}

func (k keys) verifySSH(commit *object.Commit) (string, error) {
	if len(k.ssh) == 0 {
		return "", errors.New("it is signed with SSH, and no SSH signer is trusted")
	}
	signed := new(plumbing.MemoryObject)
	if err := commit.EncodeWithoutSignature(signed); err != nil {
		return "", fmt.Errorf("encode: %w", err)
	}
	r, err := signed.Reader()
	if err != nil {
		return "", fmt.Errorf("encode: %w", err)
	}
	message, err := io.ReadAll(r)
	if err != nil {
		return "", fmt.Errorf("encode: %w", err)
	}
	key, err := verifySSH(commit.PGPSignature, message)
	if err != nil {
		return "", fmt.Errorf("verify SSH signature: %w", err)
	}
	return whose(k.ssh, key, signedAt(commit))
}

// signedAt is when a commit was made: as it says itself, but not before its
// parents. A key that was withdrawn cannot sign for the past then.
func signedAt(commit *object.Commit) time.Time {
	at := commit.Committer.When
	_ = commit.Parents().ForEach(func(parent *object.Commit) error {
		if parent.Committer.When.After(at) {
			at = parent.Committer.When
		}
		return nil
	})
	return at
}
