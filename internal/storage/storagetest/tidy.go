package storagetest

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"testing"
	"time"

	"github.com/seed-290c2414/hourglass/internal/storage"
)

// tidy takes what a copy has written so far, and nothing else. A copy that stands still stands for
// one whose process was killed: what it has left looks the same.
func tidy(t *testing.T, store storage.Store) {
	body := Body(2*part+10, 1)
	whole := put(t, store, "j1/1.mp4", body, storage.PutOptions{})
	if n, err := store.Tidy(t.Context(), "j1", 0); n != 0 || err != nil {
		t.Fatalf("nothing to tidy: got %d, %v", n, err)
	}
	cut := begin(t, store, "j1/2.mp4", body)
	other := begin(t, store, "j10/1.mp4", body)
	below := begin(t, store, "j1/j3/1.mp4", body)
	for _, folder := range []string{"j1", ""} {
		if n, err := store.Tidy(t.Context(), folder, time.Hour); n != 0 || err != nil {
			t.Errorf("too young, in %q: got %d, %v; want none", folder, n, err)
		}
	}
	if n := tidyUntil(t, store, "j1", 1); n != 1 {
		t.Errorf("in one folder: got %d, want 1", n)
	}
	if err := cut.end(); err == nil {
		t.Error("a copy that was taken away: got success")
	}
	wantNone(t, store, "j1/2.mp4")
	if err := errors.Join(other.end(), below.end()); err != nil {
		t.Errorf("copies in another folder and in one below: %v", err)
	}
	put(t, store, "j1/2.mp4", body, storage.PutOptions{})
	begun := []*begun{begin(t, store, "j1/3.mp4", body), begin(t, store, "j2/1.mp4", body)}
	if n := tidyUntil(t, store, "", 2); n != 2 {
		t.Errorf("everywhere: got %d, want 2", n)
	}
	for _, b := range begun {
		if err := b.end(); err == nil {
			t.Error("a copy that was taken away: got success")
		}
	}
	wantObject(t, whole, "j1/1.mp4", body)
	for _, key := range []string{"j1/1.mp4", "j1/2.mp4", "j10/1.mp4"} {
		wantBody(t, store, key, body)
	}
	for _, prefix := range []string{"../x", "/", "j1/", ".x"} {
		if _, err := store.Tidy(t.Context(), prefix, 0); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%q: got %v, want fs.ErrInvalid", prefix, err)
		}
	}
	if n, err := store.Tidy(t.Context(), "nobody", 0); n != 0 || err != nil {
		t.Errorf("a folder that is not there: got %d, %v", n, err)
	}
}

// begun is a copy that stands still in its last part.
type begun struct {
	goOn chan struct{}
	done chan error
}

func begin(t *testing.T, store storage.Store, key string, body []byte) *begun {
	b := &begun{goOn: make(chan struct{}), done: make(chan error, 1)}
	reached := make(chan struct{})
	const rest = 5
	r := io.MultiReader(bytes.NewReader(body[:len(body)-rest]), calls(func() {
		close(reached)
		<-b.goOn
	}), bytes.NewReader(body[len(body)-rest:]))
	go func() {
		_, err := store.Put(t.Context(), key, r, storage.PutOptions{Size: int64(len(body))})
		b.done <- err
	}()
	<-reached
	return b
}

func (b *begun) end() error {
	close(b.goOn)
	return <-b.done
}

// tidyUntil tidies until as much is removed as should be: an upload may begin a little after its body
// has been read.
func tidyUntil(t *testing.T, store storage.Store, prefix string, want int) (removed int) {
	t.Helper()
	for end := time.After(20 * time.Second); removed < want; {
		n, err := store.Tidy(t.Context(), prefix, 0)
		if err != nil {
			t.Fatal(err)
		}
		removed += n
		select {
		case <-end:
			return removed
		case <-time.After(10 * time.Millisecond):
		}
	}
	return removed
}
