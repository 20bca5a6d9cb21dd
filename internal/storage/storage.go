package storage

import (
	"context"
	"errors"
	"io"
	"time"
)

// Store keeps copies and answers for them. Open makes one; storagetest.Run is what every
// implementation must pass.
//
// Keys are relative to the root of the store: one or more segments joined by "/". A segment
// does not begin with a dot, because such names are the store's own. Any other key is
// refused with an error that is fs.ErrInvalid.
type Store interface {
	// Put copies r to key as a stream and returns the object as the store itself confirms
	// it afterwards. An error is ErrExists, ErrUnproved, io.ErrUnexpectedEOF for a body
	// that ended early, fs.ErrInvalid for a bad key or bad options, what r or ctx said, or
	// what the store answered. Safe to repeat with a fresh r. If r is an io.Closer, a Put
	// that fails or whose ctx ends may close it, to end a read that waits; else the caller does.
	Put(ctx context.Context, key string, r io.Reader, o PutOptions) (Object, error)

	// Head asks the store for an object, which is the proof that it is there. An object
	// that is not there is fs.ErrNotExist.
	Head(ctx context.Context, key string) (Object, error)

	// Open reads an object; the caller closes it. An object that is not there is
	// fs.ErrNotExist.
	Open(ctx context.Context, key string) (io.ReadCloser, error)

	// Tidy removes what copies that were cut short have left in a folder, not in those below it;
	// "" is those of the whole store whose job has no key prefix: uploads begun, or temporary files last written to, longer ago than
	// age; 0 takes all. It touches no object, and nothing that is not ours by its name. What it
	// can't remove does not keep it from the rest. A copy that is under way and that old fails,
	// as if its connection had broken. Safe to repeat.
	Tidy(ctx context.Context, folder string, age time.Duration) (removed int, err error)

	// Check tries whether this store can be reached and written, and says how its copies are
	// proved. Its error says what to do.
	Check(ctx context.Context) (Proof, error)
}

// PutOptions says what is known of an object before it is copied. The zero value announces
// an empty body: set Size to -1 if the source did not announce a length.
type PutOptions struct {
	Size        int64             // bytes the source announced, -1 if it did not; a body of another length never becomes an object
	ContentType string            // "application/octet-stream" if empty
	FileName    string            // S3: under which browsers save the object; none is sent if empty
	Metadata    map[string]string // keys of lower case letters and dashes, values in UTF-8; 2 KB encoded; an empty value is not kept
	Replace     bool              // overwrite what stands at the key; otherwise other bytes there are ErrExists, and the same bytes are success
}

// Object is what a store says about one of its objects.
type Object struct {
	Key         string            // whole key, with the prefix: "prefix/j1/1.mp4"
	URL         string            // "s3://bucket/prefix/j1/1.mp4" or "file:///dir/j1/1.mp4"
	Size        int64             // bytes
	Checksum    string            // "crc64nvme:" and base64 as S3 writes it: over the whole object
	ContentType string            // as given to Put
	Metadata    map[string]string // as given to Put

	// AsGiven says that Checksum is also that of the bytes that Put was given: the store verified it then, or
	// has kept it. Without it nobody but that Put knows whether these are the right bytes.
	AsGiven bool
}

// A Proof is how a store proves its copies.
type Proof string

// The proofs. The first costs one request; the others as much as the reading of every copy, twice.
const (
	Verified  Proof = "the store verifies the checksum of what it is given"
	ReadBack  Proof = "the store verifies no checksum, so every copy is read back"
	ReadLocal Proof = "every copy is read back from the disk"
)

var (
	// ErrExists is the error of a Put to a key where an object with other bytes stands.
	ErrExists = errors.New("an object with other bytes stands there; it is never overwritten: remove it, choose another key, or ask for overwrite")

	// ErrUnproved is the error of a store that took an object and does not prove that it
	// has it. The original must not be deleted.
	ErrUnproved = errors.New("the store does not prove the copy")
)

// Options says how to reach a store.
type Options struct {
	PathStyle bool        // S3: bucket in the path instead of the host name, as most S3-compatible servers want it
	AWS       []AWSOption // S3: laid over what the environment and the shared files of AWS say

	// CopyMemory is what all copies of the store may hold in memory at once, in bytes; one for
	// which there is no room waits its turn. 0 is DefaultCopyMemory; less than LeastCopyMemory
	// is refused. A local store needs none.
	CopyMemory int64
}

// Open returns the store that rawURL names: "s3://bucket", "s3://bucket/prefix",
// "file:///dir", or "file://./dir" relative to the working directory. An S3 URL may say, as a
// query, how its objects are made: sse=s3, or sse=kms and kms-key=ID, and tag=name=value as
// often as wanted. Open makes the directory, and asks no S3 store anything: that is what Check
// is for.
func Open(ctx context.Context, rawURL string, o Options) (Store, error) {
	where, err := parseURL(rawURL)
	if err != nil {
		return nil, err
	}
	if where.dir != "" {
		return openLocal(where.dir)
	}
	return openS3(ctx, where, o)
}
