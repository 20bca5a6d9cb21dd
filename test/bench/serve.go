package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/seed-290c2414/hourglass/internal/storage/storagetest"
)

// serve is the source and the null sink, in a process of their own, over http and TLS. It prints one line
// for each address and ends with its standard input.
func serve(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	dir := flags.String("dir", "", "folder for the certificate")
	if err := flags.Parse(args); err != nil {
		return err
	}
	cert, key, err := certificate(*dir)
	if err != nil {
		return err
	}
	only1 := new(http.Protocols) // S3 has no HTTP/2, and who speaks it would not be measured alike
	only1.SetHTTP1(true)
	failed := make(chan error, 4)
	for name, handler := range map[string]http.Handler{"source": newSource(), "sink": dechunked{&keeping{sink: &storagetest.Sink{Lenient: true}}}} {
		for _, secure := range []bool{false, true} {
			listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			server := &http.Server{Handler: handler, Protocols: only1, ReadHeaderTimeout: time.Minute, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
			scheme := "http"
			if secure {
				scheme = "https"
				go func() { failed <- server.ServeTLS(listener, cert, key) }()
			} else {
				go func() { failed <- server.Serve(listener) }()
			}
			if _, err := fmt.Fprintf(stdout, "%s %s://%s\n", name, scheme, listener.Addr()); err != nil {
				return err
			}
		}
	}
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(ended)
	}()
	select {
	case err := <-failed:
		return err
	case <-ended:
		return nil
	case <-ctx.Done():
		return nil
	}
}

// A source serves "/<size>/<name>": so many random bytes, as an object store does, with a strong ETag, and
// from any byte on.
type source struct{ block []byte }

func newSource() *source {
	s := &source{block: make([]byte, 8<<20)}
	_, _ = rand.Read(s.block) // never fails
	return s
}

// ServeHTTP implements http.Handler.
func (s *source) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	size, err := strconv.ParseInt(filepath.Base(filepath.Dir(r.URL.Path)), 10, 64)
	if err != nil || size < 0 {
		http.NotFound(w, r)
		return
	}
	from := int64(0)
	if n, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from); err != nil || n != 1 || from >= size {
		from = 0
	}
	w.Header().Set("ETag", `"`+strconv.FormatInt(size, 16)+`"`)
	w.Header().Set("Content-Type", "video/mp4")
	w.Header().Set("Accept-Ranges", "bytes")
	w.Header().Set("Content-Length", strconv.FormatInt(size-from, 10))
	if from > 0 {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, size-1, size))
		w.WriteHeader(http.StatusPartialContent)
	}
	if r.Method == http.MethodHead {
		return
	}
	const piece = 1 << 20
	for at := from; at < size; {
		offset := at % int64(len(s.block))
		n := min(piece, size-at, int64(len(s.block))-offset)
		if _, err := w.Write(s.block[offset : offset+n]); err != nil {
			return
		}
		at += n
	}
}

// certificate makes one for the loopback interface, which all children are told to trust.
func certificate(dir string) (certPath, keyPath string, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return "", "", err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return "", "", err
	}
	certPath, keyPath = filepath.Join(dir, certName), filepath.Join(dir, "key.pem")
	err = errors.Join(writePEM(certPath, "CERTIFICATE", der), writePEM(keyPath, "PRIVATE KEY", keyDER))
	return certPath, keyPath, err
}

const certName = "cert.pem"

func writePEM(path, kind string, der []byte) error {
	var text bytes.Buffer
	if err := pem.Encode(&text, &pem.Block{Type: kind, Bytes: der}); err != nil {
		return err
	}
	return os.WriteFile(path, text.Bytes(), 0o600)
}
