package testservers

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// A Door says whom a Redis lets in. The zero one stands open.
type Door struct {
	User, Password string        // of the one user there is, by Redis's ACL; empty: everybody
	TLS            *Certificates // for clients and among the servers; nil: none
}

// arguments make a redis-server keep the door. Its plain port stays, for the tests' own use.
func (d Door) arguments() []string {
	var args []string
	if d.User != "" {
		args = append(args, "--user", "default", "off", "--user", d.User, "on", ">"+d.Password, "~*", "&*", "+@all",
			"--masteruser", d.User, "--masterauth", d.Password)
	}
	if d.TLS != nil {
		args = append(args, "--tls-cert-file", d.TLS.Cert, "--tls-key-file", d.TLS.Key, "--tls-ca-cert-file", d.TLS.CA,
			"--tls-auth-clients", "no", "--tls-replication", "yes")
	}
	return args
}

// url is what a client needs: the scheme is one without TLS.
func (d Door) url(scheme, hosts string) string {
	if d.TLS != nil {
		scheme = "rediss" + scheme[len("redis"):]
	}
	if d.User != "" {
		hosts = url.UserPassword(d.User, d.Password).String() + "@" + hosts
	}
	return scheme + "://" + hosts
}

// client speaks to one server by its plain port.
func (d Door) client(t testing.TB, addr string) *redis.Client {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: addr, Username: d.User, Password: d.Password, MaxRetries: -1})
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

// Certificates are files with a certificate for 127.0.0.1 and localhost, and the authority that signed it.
type Certificates struct{ CA, Cert, Key string }

// NewCertificates makes an authority that nobody knows, and a certificate of it. A Go program trusts
// it that has SSL_CERT_FILE=CA in its environment.
func NewCertificates(t testing.TB) *Certificates {
	t.Helper()
	dir := t.TempDir()
	c := &Certificates{filepath.Join(dir, "ca.pem"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	caKey, key := newKey(t), newKey(t)
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "tests"}, NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"}, NotAfter: ca.NotAfter,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	writePEM(t, c.CA, "CERTIFICATE", sign(t, ca, ca, caKey, caKey))
	writePEM(t, c.Cert, "CERTIFICATE", sign(t, leaf, ca, key, caKey))
	text, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, c.Key, "PRIVATE KEY", text)
	return c
}

// Trust is a configuration of a client that trusts the authority.
func (c *Certificates) Trust(t testing.TB) *tls.Config {
	t.Helper()
	text, err := os.ReadFile(c.CA)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t testing.TB, leaf, ca *x509.Certificate, key, caKey *ecdsa.PrivateKey) []byte {
	t.Helper()
	text, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func writePEM(t testing.TB, path, kind string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: text}), 0o600); err != nil {
		t.Fatal(err)
	}
}
