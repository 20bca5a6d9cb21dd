package storagetest

import (
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/minio/crc64nvme"
)

// A Sink is an S3 server that keeps nothing but what an object must prove: it computes the CRC64NVME of
// every body it is sent, refuses one that differs, and puts parts together by their CRCs. It is for what
// would be too much to keep: many bytes, or faults in the middle of them. It knows no permissions and one
// bucket.
type Sink struct {
	// Before is called before each request is looked at, if it is set. One that it answers itself,
	// which it reports, goes no further.
	Before func(w http.ResponseWriter, r *http.Request) (answered bool)

	// Lenient takes a body, or an upload, whose sender gave no CRC64NVME, as other programs do.
	Lenient bool

	// Echo makes it a bad one: it computes nothing, takes everything, and answers the checksum that it
	// was told. Then it keeps what it is sent.
	Echo bool

	mu      sync.Mutex
	objects map[string]sunk
	uploads map[string]map[int]sunk // by upload id
	under   int64                   // bytes of bodies under way, as announced
	most    int64
	ids     int
}

// sunk is what is known of bytes that are gone.
type sunk struct {
	size int64
	crc  uint64
	told string // the checksum to answer
	data []byte // of an echoing sink
}

// MostUnderWay is the most that was on its way into the sink at one time, in bytes of announced bodies.
func (s *Sink) MostUnderWay() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.most
}

// Uploads is how many uploads are neither complete nor aborted.
func (s *Sink) Uploads() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.uploads)
}

// ServeHTTP implements http.Handler.
func (s *Sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.Before != nil && s.Before(w, r) {
		return
	}
	query := r.URL.Query()
	switch {
	case r.Method == http.MethodPut && query.Has("partNumber"):
		s.part(w, r)
	case r.Method == http.MethodPut:
		s.whole(w, r)
	case r.Method == http.MethodPost && query.Has("uploads"):
		s.begin(w)
	case r.Method == http.MethodPost:
		s.complete(w, r)
	case r.Method == http.MethodHead, r.Method == http.MethodGet && !query.Has("uploads"):
		s.object(w, r)
	case r.Method == http.MethodDelete:
		s.mu.Lock()
		delete(s.uploads, query.Get("uploadId"))
		s.mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
	default:
		s.list(w)
	}
}

func (s *Sink) refuse(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code></Error>", code)
}

// read drinks a body, and refuses it unless it is what its header says.
func (s *Sink) read(w http.ResponseWriter, r *http.Request) (got sunk, ok bool) {
	s.move(r.ContentLength)
	defer s.move(-r.ContentLength)
	buffer := buffers.Get().(*[256 << 10]byte)
	defer buffers.Put(buffer)
	var err error
	for err == nil {
		var n int
		n, err = r.Body.Read(buffer[:])
		got.size += int64(n)
		got.crc = crc64nvme.Update(got.crc, buffer[:n])
		if s.Echo {
			got.data = append(got.data, buffer[:n]...)
		}
	}
	got.told = r.Header.Get(crcHeader)
	switch {
	case err != io.EOF || got.size != r.ContentLength:
		s.refuse(w, http.StatusBadRequest, "IncompleteBody")
	case got.told == "" && s.Lenient:
		got.told = base64CRC(got.crc)
		return got, true
	case got.told != base64CRC(got.crc) && !s.Echo:
		s.refuse(w, http.StatusBadRequest, "BadDigest")
	default:
		return got, true
	}
	return got, false
}

var buffers = sync.Pool{New: func() any { return new([256 << 10]byte) }}

func (s *Sink) move(bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.under += bytes
	s.most = max(s.most, s.under)
}

func (s *Sink) whole(w http.ResponseWriter, r *http.Request) {
	got, ok := s.read(w, r)
	if !ok {
		return
	}
	if s.put(r, got) {
		w.Header().Set("ETag", `"whole-2"`)
	} else {
		s.refuse(w, http.StatusPreconditionFailed, "PreconditionFailed")
	}
}

// put makes an object, unless one stands there that is not to be overwritten.
func (s *Sink) put(r *http.Request, o sunk) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, stands := s.objects[r.URL.Path]; stands && r.Header.Get("If-None-Match") == "*" {
		return false
	}
	if s.objects == nil {
		s.objects = map[string]sunk{}
	}
	s.objects[r.URL.Path] = o
	return true
}

func (s *Sink) begin(w http.ResponseWriter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.uploads == nil {
		s.uploads = map[string]map[int]sunk{}
	}
	s.ids++
	id := "upload-" + strconv.Itoa(s.ids)
	s.uploads[id] = map[int]sunk{}
	_, _ = fmt.Fprintf(w, "<InitiateMultipartUploadResult><UploadId>%s</UploadId></InitiateMultipartUploadResult>", id)
}

func (s *Sink) part(w http.ResponseWriter, r *http.Request) {
	got, ok := s.read(w, r)
	if !ok {
		return
	}
	number, err := strconv.Atoi(r.URL.Query().Get("partNumber"))
	s.mu.Lock()
	defer s.mu.Unlock()
	parts := s.uploads[r.URL.Query().Get("uploadId")]
	if parts == nil || err != nil {
		s.refuse(w, http.StatusNotFound, "NoSuchUpload")
		return
	}
	parts[number] = got
	w.Header().Set("ETag", `"`+base64CRC(got.crc)+`"`)
}

func (s *Sink) complete(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Part []struct {
			PartNumber        int
			ETag              string
			ChecksumCRC64NVME string
		}
	}
	if err := xml.NewDecoder(r.Body).Decode(&asked); err != nil {
		s.refuse(w, http.StatusBadRequest, "MalformedXML")
		return
	}
	id := r.URL.Query().Get("uploadId")
	s.mu.Lock()
	parts := s.uploads[id]
	s.mu.Unlock()
	if parts == nil {
		s.refuse(w, http.StatusNotFound, "NoSuchUpload")
		return
	}
	var all sunk
	for i, p := range asked.Part {
		had, found := parts[p.PartNumber]
		if s.Lenient && p.ChecksumCRC64NVME == "" {
			p.ChecksumCRC64NVME = had.told
		}
		if !found || p.PartNumber != i+1 || p.ChecksumCRC64NVME != had.told || p.ETag != `"`+base64CRC(had.crc)+`"` {
			s.refuse(w, http.StatusBadRequest, "InvalidPart")
			return
		}
		all = sunk{all.size + had.size, combined(all.crc, had.crc, had.size), r.Header.Get(crcHeader), append(all.data, had.data...)}
	}
	given := r.Header.Get(crcHeader) != "" || !s.Lenient
	if !given {
		all.told = base64CRC(all.crc)
	}
	switch {
	case !given && len(asked.Part) == len(parts) && s.put(r, all):
		s.end(w, id)
	case len(asked.Part) != len(parts) || r.Header.Get("X-Amz-Mp-Object-Size") != strconv.FormatInt(all.size, 10):
		s.refuse(w, http.StatusBadRequest, "InvalidRequest")
	case all.told != base64CRC(all.crc) && !s.Echo || r.Header.Get("X-Amz-Checksum-Type") != "FULL_OBJECT":
		s.refuse(w, http.StatusBadRequest, "BadDigest")
	case !s.put(r, all):
		s.refuse(w, http.StatusPreconditionFailed, "PreconditionFailed")
	default:
		s.end(w, id)
	}
}

func (s *Sink) end(w http.ResponseWriter, id string) {
	s.mu.Lock()
	delete(s.uploads, id)
	s.mu.Unlock()
	_, _ = io.WriteString(w, `<CompleteMultipartUploadResult><ETag>"whole-2"</ETag></CompleteMultipartUploadResult>`)
}

func (s *Sink) object(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	o, found := s.objects[r.URL.Path]
	s.mu.Unlock()
	if !found {
		s.refuse(w, http.StatusNotFound, "NoSuchKey")
		return
	}
	w.Header().Set("Content-Length", strconv.FormatInt(o.size, 10))
	w.Header().Set("ETag", `"whole-2"`)
	w.Header().Set("Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT")
	w.Header().Set(crcHeader, o.told)
	w.Header().Set("X-Amz-Checksum-Type", "FULL_OBJECT")
	_, _ = w.Write(o.data) // none to a HEAD
}

func (s *Sink) list(w http.ResponseWriter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []string
	for id := range s.uploads {
		ids = append(ids, "<Upload><Key>j1/1.mp4</Key><UploadId>"+id+"</UploadId></Upload>")
	}
	slices.Sort(ids)
	_, _ = io.WriteString(w, "<ListMultipartUploadsResult>"+strings.Join(ids, "")+"</ListMultipartUploadsResult>")
}

// combined is the CRC of two pieces, from the CRC of each and the length of the second, as zlib does it:
// with matrices over GF(2). The store does it in another way, so that neither is its own judge.
func combined(first, second uint64, length int64) uint64 {
	var even, odd [64]uint64
	odd[0] = 0x9a6c9329ac4bc9b5 // one zero bit
	for n := 1; n < 64; n++ {
		odd[n] = 1 << (n - 1)
	}
	square(&even, &odd) // two
	square(&odd, &even) // four
	for ; length > 0; length >>= 1 {
		square(&even, &odd) // a byte, then ever twice as much
		if length&1 != 0 {
			first = times(&even, first)
		}
		odd = even
	}
	return first ^ second
}

func times(matrix *[64]uint64, vector uint64) (sum uint64) {
	for i := 0; vector != 0; i++ {
		if vector&1 != 0 {
			sum ^= matrix[i]
		}
		vector >>= 1
	}
	return sum
}

func square(to, from *[64]uint64) {
	for i := range to {
		to[i] = times(from, from[i])
	}
}
