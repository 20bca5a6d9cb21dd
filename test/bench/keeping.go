package main

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync"
)

// keeping keeps what the sink behind it forgets and a worker asks for: the metadata of objects, and the bytes of
// small ones, such as manifests.
type keeping struct {
	sink http.Handler

	mu   sync.Mutex
	kept map[string]*object // by path
}

type object struct {
	metadata http.Header
	small    []byte
}

// keptBytes is how large a small one is at most.
const keptBytes = 64 << 10

// ServeHTTP implements http.Handler.
func (k *keeping) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	switch {
	case r.Method == http.MethodPut && !query.Has("partNumber"), r.Method == http.MethodPost && query.Has("uploads"):
		k.write(w, r)
	case r.Method == http.MethodHead, r.Method == http.MethodGet && !query.Has("uploads"):
		k.read(w, r)
	default:
		k.sink.ServeHTTP(w, r)
	}
}

func (k *keeping) write(w http.ResponseWriter, r *http.Request) {
	o := &object{metadata: http.Header{}}
	for name, values := range r.Header {
		if strings.HasPrefix(name, "X-Amz-Meta-") {
			o.metadata[name] = values
		}
	}
	if r.ContentLength <= keptBytes {
		var err error
		if o.small, err = io.ReadAll(r.Body); err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(o.small))
	}
	answer := &watched{w, http.StatusOK}
	k.sink.ServeHTTP(answer, r)
	if answer.status != http.StatusOK {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.kept == nil {
		k.kept = map[string]*object{}
	}
	k.kept[r.URL.Path] = o
}

func (k *keeping) read(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	o := k.kept[r.URL.Path]
	k.mu.Unlock()
	if o == nil {
		k.sink.ServeHTTP(w, r)
		return
	}
	for name, values := range o.metadata {
		w.Header()[name] = values
	}
	head := r.Clone(r.Context())
	head.Method = http.MethodHead
	k.sink.ServeHTTP(w, head)
	_, _ = w.Write(o.small) // none to a HEAD
}

// watched knows how a request went.
type watched struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (a *watched) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}
