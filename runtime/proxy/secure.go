package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"

	"rsm/schema"
)

// serverTLS reads what a listener needs, nil for one that speaks plain.
func serverTLS(of *schema.ServerTLS) (*tls.Config, error) {
	if of == nil {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(of.Cert, of.Key)
	if err != nil {
		return nil, fmt.Errorf("load certificate: %w", err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if of.ClientCA != "" {
		if config.ClientCAs, err = authorities(of.ClientCA); err != nil {
			return nil, err
		}
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return config, nil
}

// clientTLS reads what connections to servers need, nil for plain ones.
func clientTLS(of *schema.ClientTLS) (*tls.Config, error) {
	if of == nil {
		return nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	var err error
	if of.CA != "" {
		if config.RootCAs, err = authorities(of.CA); err != nil {
			return nil, err
		}
	}
	if of.Cert != "" {
		pair, err := tls.LoadX509KeyPair(of.Cert, of.Key)
		if err != nil {
			return nil, fmt.Errorf("load certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

func authorities(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("load authority: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("load authority: no certificate in %s", path)
	}
	return pool, nil
}

// The first bytes of a PROXY protocol header, version 2 (haproxy.org,
// "The PROXY protocol", section 2.2).
const proxySignature = "\r\n\r\n\x00\r\nQUIT\n"

// readProxyHeader reads a PROXY header and returns the client's address that it
// tells; empty when the sender speaks for itself.
func readProxyHeader(conn net.Conn) (string, error) {
	var head [16]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return "", err
	}
	if string(head[:12]) != proxySignature || head[12]>>4 != 2 {
		return "", errors.New("not a PROXY header of version 2")
	}
	body := make([]byte, binary.BigEndian.Uint16(head[14:]))
	if _, err := io.ReadFull(conn, body); err != nil {
		return "", err
	}
	switch command, family := head[12]&0xf, head[13]>>4; {
	case command == 0: // LOCAL: a health check of the sender
		return "", nil
	case command != 1:
		return "", fmt.Errorf("PROXY command %d is unknown", command)
	case family == 1 && len(body) >= 12:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(body[:4])), binary.BigEndian.Uint16(body[8:])).String(), nil
	case family == 2 && len(body) >= 36:
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(body[:16])), binary.BigEndian.Uint16(body[32:])).String(), nil
	case family == 1 || family == 2:
		return "", errors.New("PROXY header without an address")
	}
	return "", nil // of a unix socket, or not told
}
