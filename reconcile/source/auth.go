package source

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"regexp"
	"strings"
	"unicode"

	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/plumbing/transport/http"
	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// credentials are what one question is asked with.
type credentials struct {
	method transport.AuthMethod
	// ca holds certificates to trust, in PEM.
	ca []byte
	// secrets must be in no text.
	secrets []string
	// who names what is asked with, hint says what to check when it is refused.
	who, hint string
}

// credentials reads keys and secrets, anew for each question: they are rotated.
func (n *network) credentials() (credentials, error) {
	if n.secure == "ssh" {
		return n.ssh()
	}
	c := credentials{who: "anybody", hint: "give a token"}
	if n.auth.CAFile != "" {
		ca, err := os.ReadFile(n.auth.CAFile)
		if err != nil {
			return c, fmt.Errorf("read CA file: %w", err)
		}
		c.ca = ca
	}
	if n.auth.Token == nil {
		return c, nil
	}
	token, err := n.auth.Token.Read()
	if err != nil {
		return c, fmt.Errorf("read token: %w", err)
	}
	user := n.name()
	c.method = &http.BasicAuth{Username: user, Password: token}
	c.secrets = []string{token, base64.StdEncoding.EncodeToString([]byte(user + ":" + token)), url.QueryEscape(token)}
	c.who, c.hint = "the token of "+n.auth.Token.String(), "check the token in "+n.auth.Token.String()+": is it expired, and may it read the repository?"
	return c, nil
}

// name is who asks.
func (n *network) name() string {
	switch {
	case n.auth.Username != "":
		return n.auth.Username
	case n.user != "":
		return n.user
	}
	return "git"
}

// ssh reads the key and the known hosts. There is no question without both.
func (n *network) ssh() (credentials, error) {
	c := credentials{hint: "check that the key is registered there, and the user's name"}
	if n.auth.KnownHosts == "" {
		return c, fmt.Errorf("%s: ssh needs a known_hosts file, to know the server by: "+
			"write one with ssh-keyscan and compare the keys with what the host publishes", n.url)
	}
	if _, err := os.ReadFile(n.auth.KnownHosts); err != nil {
		return c, fmt.Errorf("read known hosts: %w", err)
	}
	hosts, err := gitssh.NewKnownHostsDb(n.auth.KnownHosts)
	if err != nil {
		return c, fmt.Errorf("read known hosts: %w", err)
	}
	helper := gitssh.HostKeyCallbackHelper{HostKeyCallback: hosts.HostKeyCallback(), HostKeyAlgorithms: hosts.HostKeyAlgorithms(n.hostPort())}
	if n.auth.SSHAgent {
		agent, err := gitssh.NewSSHAgentAuth(n.name())
		if err != nil {
			return c, fmt.Errorf("ask the ssh agent: %w", err)
		}
		agent.HostKeyCallbackHelper = helper
		c.method, c.who = agent, "the ssh agent's keys"
		return c, nil
	}
	signer, err := n.key()
	if err != nil {
		return c, err
	}
	c.method, c.who = &gitssh.PublicKeys{User: n.name(), Signer: signer, HostKeyCallbackHelper: helper}, "the key "+n.auth.SSHKey
	return c, nil
}

func (n *network) key() (ssh.Signer, error) {
	if n.auth.SSHKey == "" {
		return nil, fmt.Errorf("%s: ssh needs a key file, or leave to ask the agent", n.url)
	}
	text, err := os.ReadFile(n.auth.SSHKey)
	if err != nil {
		return nil, fmt.Errorf("read ssh key: %w", err)
	}
	var signer ssh.Signer
	if n.auth.SSHPassphrase == nil {
		signer, err = ssh.ParsePrivateKey(text)
	} else {
		passphrase, unread := n.auth.SSHPassphrase.Read()
		if unread != nil {
			return nil, fmt.Errorf("read passphrase: %w", unread)
		}
		signer, err = ssh.ParsePrivateKeyWithPassphrase(text, []byte(passphrase))
	}
	if err != nil {
		return nil, fmt.Errorf("read ssh key %s: %w", n.auth.SSHKey, err)
	}
	return signer, nil
}

func (n *network) hostPort() string {
	if _, _, err := net.SplitHostPort(n.host); err == nil {
		return n.host
	}
	return net.JoinHostPort(strings.Trim(n.host, "[]"), "22")
}

// refusal says what to do when one side did not accept the other, "" when the
// error is another one.
func (n *network) refusal(err error, c credentials) string {
	var unknown *knownhosts.KeyError
	var revoked *knownhosts.RevokedError
	switch {
	case errors.As(err, &revoked):
		return n.auth.KnownHosts + " says that the server's key is revoked"
	case errors.As(err, &unknown) && len(unknown.Want) > 0:
		return "the server has another key than " + n.auth.KnownHosts + " says: somebody may be in between; ask who runs it"
	case errors.As(err, &unknown):
		return "the server's key is not in " + n.auth.KnownHosts + ": add it with ssh-keyscan and compare it with what the host publishes"
	case errors.Is(err, transport.ErrAuthenticationRequired), errors.Is(err, transport.ErrAuthorizationFailed),
		errors.Is(err, transport.ErrInvalidAuthMethod), strings.Contains(err.Error(), "ssh: unable to authenticate"):
		return c.hint
	}
	return ""
}

// ownPort is what a connection had on this side: another one each time.
var ownPort = regexp.MustCompile(`\S+:\d+->`)

// scrub makes one short line of an error, without secrets and without what
// differs each time, so that the same trouble is told once.
func (c credentials) scrub(err error) string {
	text := ownPort.ReplaceAllString(err.Error(), "")
	for _, plain := range []error{transport.ErrAuthenticationRequired, transport.ErrAuthorizationFailed} {
		if errors.Is(err, plain) {
			text = plain.Error() // what follows is a page of the server
		}
	}
	for _, secret := range c.secrets {
		text = strings.ReplaceAll(text, secret, "***")
	}
	return line(text, 300)
}

// line makes one line of a text that others wrote, of at most so many bytes or a
// few more. Control characters could write on a terminal what is not there.
func line(text string, most int) string {
	text = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, text)), " ")
	for at := range text {
		if at >= most {
			return text[:at] + "…"
		}
	}
	return text
}
