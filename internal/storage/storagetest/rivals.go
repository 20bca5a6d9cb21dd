package storagetest

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-290c2414/hourglass/internal/storage"
)

// sizes are of a body in one piece and of one in parts.
var sizes = []int{1000, part + 1000}

func exists(t *testing.T, store storage.Store) {
	for _, size := range sizes {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			key := fmt.Sprintf("exists/%d.mp4", size)
			body := Body(size, 1)
			first := put(t, store, key, body, storage.PutOptions{Metadata: map[string]string{"project": "first"}})

			again := put(t, store, key, body, storage.PutOptions{Metadata: map[string]string{"project": "second"}})
			if diff := cmp.Diff(first, again); diff != "" {
				t.Errorf("the same bytes again (-first +again):\n%s", diff)
			}
			for name, other := range map[string][]byte{
				"of the same length": Body(size, 2),
				"shorter":            body[:size-1],
				"in one piece":       body[:10],
				"in parts":           Body(part+500, 3),
			} {
				_, err := store.Put(t.Context(), key, bytes.NewReader(other), storage.PutOptions{Size: int64(len(other))})
				if !errors.Is(err, storage.ErrExists) {
					t.Errorf("other bytes %s: got %v, want ErrExists", name, err)
				}
			}
			if diff := cmp.Diff(first, head(t, store, key)); diff != "" {
				t.Errorf("after all that (-first +head):\n%s", diff)
			}
			wantBody(t, store, key, body)
		})
	}
}

func replace(t *testing.T, store storage.Store) {
	for _, size := range sizes {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			key := fmt.Sprintf("replace/%d.mp4", size)
			for i, body := range [][]byte{Body(size, 1), Body(size, 2), Body(10, 3), Body(size, 1)} {
				want := map[string]string{"version": fmt.Sprint(i)}
				object := put(t, store, key, body, storage.PutOptions{Metadata: want, Replace: true})
				wantObject(t, object, key, body)
				if diff := cmp.Diff(want, object.Metadata); diff != "" {
					t.Errorf("metadata (-want +got):\n%s", diff)
				}
				wantBody(t, store, key, body)
			}
			before := head(t, store, key)
			if _, err := store.Put(t.Context(), key, strings.NewReader("short"), storage.PutOptions{Size: 6, Replace: true}); err == nil {
				t.Error("a short body: got nil")
			}
			if diff := cmp.Diff(before, head(t, store, key)); diff != "" {
				t.Errorf("after a short body (-before +after):\n%s", diff)
			}
		})
	}
}

// raceOfDifferent has exactly one winner, and everybody knows who it is.
func raceOfDifferent(t *testing.T, store storage.Store) {
	for _, size := range sizes {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			key := fmt.Sprintf("race/different/%d.mp4", size)
			errs := race(t, store, key, func(i int) []byte { return Body(size, i) })
			winner := -1
			for i, err := range errs {
				switch {
				case err == nil && winner < 0:
					winner = i
				case err == nil:
					t.Errorf("both %d and %d were told that they won", winner, i)
				case !errors.Is(err, storage.ErrExists):
					t.Errorf("loser %d: got %v, want ErrExists", i, err)
				}
			}
			if winner < 0 {
				t.Fatal("nobody won")
			}
			wantBody(t, store, key, Body(size, winner))
			if got, want := head(t, store, key).Metadata["rival"], fmt.Sprint(winner); got != want {
				t.Errorf("metadata: got that of rival %q, want that of %s", got, want)
			}
		})
	}
}

func raceOfSame(t *testing.T, store storage.Store) {
	for _, size := range sizes {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			key := fmt.Sprintf("race/same/%d.mp4", size)
			for i, err := range race(t, store, key, func(int) []byte { return Body(size, 1) }) {
				if err != nil {
					t.Errorf("rival %d: %v", i, err)
				}
			}
			wantBody(t, store, key, Body(size, 1))
		})
	}
}

// race puts the bodies of several rivals to one key at the same time.
func race(t *testing.T, store storage.Store, key string, body func(int) []byte) []error {
	const rivals = 4
	errs := make([]error, rivals)
	var start, done sync.WaitGroup
	start.Add(1)
	for i := range rivals {
		b := body(i)
		done.Go(func() {
			start.Wait()
			_, errs[i] = store.Put(t.Context(), key, bytes.NewReader(b), storage.PutOptions{
				Size: int64(len(b)), Metadata: map[string]string{"rival": fmt.Sprint(i)},
			})
		})
	}
	start.Done()
	done.Wait()
	return errs
}
