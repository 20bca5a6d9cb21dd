package storagetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/seed-290c2414/hourglass/internal/storage"
)

func badKeys(t *testing.T, store storage.Store) {
	tests := []struct{ name, key string }{
		{"empty", ""},
		{"absolute", "/etc/passwd"},
		{"parent", "../x"},
		{"parent inside", "j1/../../x"},
		{"only parent", ".."},
		{"here", "."},
		{"here inside", "j1/./x"},
		{"hidden", "j1/.x"},
		{"folder", "j1/"},
		{"empty segment", "j1//x"},
		{"backslash", `j1\..\..\x`},
		{"NUL", "j1/x\x00.mp4"},
		{"line feed", "j1/x\n"},
		{"not UTF-8", "j1/\xff"},
		{"long segment", strings.Repeat("x", 201)},
		{"long", strings.Repeat("x/", 600) + "x"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, putErr := store.Put(t.Context(), test.key, strings.NewReader("x"), storage.PutOptions{Size: 1})
			_, headErr := store.Head(t.Context(), test.key)
			r, openErr := store.Open(t.Context(), test.key)
			if openErr == nil {
				_ = r.Close()
			}
			for verb, err := range map[string]error{"put": putErr, "head": headErr, "open": openErr} {
				if !errors.Is(err, fs.ErrInvalid) {
					t.Errorf("%s: got %v, want fs.ErrInvalid", verb, err)
				}
			}
		})
	}
}

func missing(t *testing.T, store storage.Store) {
	wantNone(t, store, "missing/1.mp4")
	put(t, store, "missing/2.mp4", []byte("x"), storage.PutOptions{})
	wantNone(t, store, "missing/1.mp4")
	wantNone(t, store, "missing") // a folder is no object
}

// badBodies must leave nothing that could be taken for the whole.
func badBodies(t *testing.T, store storage.Store) {
	errBroken := errors.New("broken")
	tests := []struct {
		name string
		body io.Reader
		size int64
		want error // nil: any
	}{
		{"short", bytes.NewReader(Body(10, 0)), 11, io.ErrUnexpectedEOF},
		{"empty but announced", bytes.NewReader(nil), 1, io.ErrUnexpectedEOF},
		{"short by a part", bytes.NewReader(Body(part, 0)), 2 * part, io.ErrUnexpectedEOF},
		{"short in the second part", bytes.NewReader(Body(part+10, 0)), 2 * part, io.ErrUnexpectedEOF},
		{"long", bytes.NewReader(Body(11, 0)), 10, nil},
		{"not empty as announced", bytes.NewReader(Body(1, 0)), 0, nil},
		{"long after one part", bytes.NewReader(Body(part+1, 0)), part, nil},
		{"long after two parts", bytes.NewReader(Body(2*part+1, 0)), 2 * part, nil},
		{"breaks at once", iotest.ErrReader(errBroken), -1, errBroken},
		{"breaks", breaks(10, errBroken), -1, errBroken},
		{"breaks after a part", breaks(part, errBroken), -1, errBroken},
		{"breaks in the second part", breaks(part+10, errBroken), -1, errBroken},
		{"breaks at the announced end", breaks(10, errBroken), 10, errBroken},
		// What net/http says of a body that was cut, whose length nobody announced to us.
		{"cut", breaks(10, io.ErrUnexpectedEOF), -1, io.ErrUnexpectedEOF},
		{"cut in the second part", breaks(part+10, io.ErrUnexpectedEOF), -1, io.ErrUnexpectedEOF},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			key := "bad/" + strings.ReplaceAll(test.name, " ", "-") + ".mp4"
			object, err := store.Put(t.Context(), key, test.body, storage.PutOptions{Size: test.size})
			if err == nil {
				t.Fatalf("got %+v, want an error", object)
			}
			if test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if !strings.Contains(err.Error(), key) {
				t.Errorf("got %v, want the key in it", err)
			}
			wantNone(t, store, key)
		})
	}
}

func breaks(after int, err error) io.Reader {
	return io.MultiReader(bytes.NewReader(Body(after, 0)), iotest.ErrReader(err))
}

func canceled(t *testing.T, store storage.Store) {
	tests := []struct {
		name  string
		after int
	}{
		{"at once", 0},
		{"in the first part", 10},
		{"in the second part", part + 10},
		{"at the end", part + part/2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			body := Body(part+part/2, 3)
			r := io.MultiReader(bytes.NewReader(body[:test.after]), calls(cancel), bytes.NewReader(body[test.after:]))
			key := "canceled/" + strings.ReplaceAll(test.name, " ", "-")
			if _, err := store.Put(ctx, key, r, storage.PutOptions{Size: -1}); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want context.Canceled", err)
			}
			wantNone(t, store, key)
		})
	}
}

// calls is an empty reader that calls f when it is read.
type calls func()

// Read implements io.Reader.
func (f calls) Read([]byte) (int, error) {
	f()
	return 0, io.EOF
}
