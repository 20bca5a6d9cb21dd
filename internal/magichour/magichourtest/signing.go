package magichourtest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

var (
	errAltered = errors.New("SignatureDoesNotMatch")
	errExpired = errors.New("Request has expired") //nolint:staticcheck // S3's own words
)

const signatureParam = "&X-Fake-Signature="

// sign makes a URL that lets its holder use one method on a path for a while. Parameters
// are unsorted and one has %20 and %3B in it, so that a client which parses the query and
// writes it anew breaks the signature, as it would with real signed URLs.
func (s *Server) sign(method, path string) signedFile {
	s.signed++
	expires := s.options.Now().Add(s.options.URLTTL)
	query := fmt.Sprintf("response-content-disposition=attachment%%3B%%20filename%%3Doutput&X-Fake-Nonce=%d&X-Fake-Expires=%d",
		s.signed, expires.UnixMilli())
	return signedFile{
		URL:       s.mediaURL + path + "?" + query + signatureParam + s.signature(method, path, query),
		ExpiresAt: timestamp(expires),
	}
}

func (s *Server) signature(method, path, query string) string {
	key := s.digest("signing key")
	mac := hmac.New(sha256.New, key[:])
	mac.Write([]byte(method + "\n" + path + "\n" + query))
	return hex.EncodeToString(mac.Sum(nil))
}

// verify checks the query byte for byte, and only then when it expires.
func (s *Server) verify(r *http.Request) error {
	i := strings.LastIndex(r.URL.RawQuery, signatureParam)
	if i < 0 {
		return errAltered
	}
	query, signature := r.URL.RawQuery[:i], r.URL.RawQuery[i+len(signatureParam):]
	if !hmac.Equal([]byte(signature), []byte(s.signature(r.Method, r.URL.EscapedPath(), query))) {
		return errAltered
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return errAltered
	}
	expires, err := strconv.ParseInt(values.Get("X-Fake-Expires"), 10, 64)
	if err != nil {
		return errAltered
	}
	if !s.options.Now().Before(time.UnixMilli(expires)) {
		return errExpired
	}
	return nil
}
