package storage_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/seed-290c2414/hourglass/internal/storage"
	"github.com/seed-290c2414/hourglass/internal/storage/storagetest"
	"github.com/seed-290c2414/hourglass/internal/testservers"
)

// killedAt says in the environment of a child of TestS3Killed after how many bytes it is to stand still.
const killedAt = "HOURGLASS_TEST_KILLED_AT"

// copyUntilKilled is that child: it says when it has read so far, and waits to be killed.
func copyUntilKilled(t *testing.T) {
	t.Helper()
	var at int
	if _, err := fmt.Sscan(os.Getenv(killedAt), &at); err != nil {
		t.Fatal(err)
	}
	store, err := storage.Open(t.Context(), "s3://media/killed", storage.Options{PathStyle: true})
	if err != nil {
		t.Fatal(err)
	}
	body := storagetest.Body(3*part, 1)
	r := io.MultiReader(bytes.NewReader(body[:at]), cancels(func() {
		fmt.Println("reached") //nolint:forbidigo // to the parent
		select {}
	}))
	_, err = store.Put(t.Context(), "j1/1.mp4", r, storage.PutOptions{Size: int64(len(body))})
	t.Error("not killed", err)
}

// TestS3Killed kills a process in the middle of a copy, where nothing can tidy up any more. What it leaves is
// found by Tidy, and the copy can be made again.
func TestS3Killed(t *testing.T) {
	if os.Getenv(killedAt) != "" {
		copyUntilKilled(t)
		return
	}
	t.Parallel()
	server := testservers.VersityGW(t, "media")
	store := openS3(t, server, "s3://media/killed")
	body := storagetest.Body(3*part, 1)
	for _, at := range []int{10, part + 10, 2*part + 10, 3*part - 1} {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestS3Killed$") //nolint:gosec // ourselves
		child.Env = append(append(os.Environ(), server.Environ()...), fmt.Sprintf("%s=%d", killedAt, at))
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		said, _ := bufio.NewReader(out).ReadString('\n')
		if at > part { // the upload has begun, or begins any moment
			waitForUpload(t, server)
		}
		if err := child.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = child.Wait()
		if !strings.Contains(said, "reached") {
			t.Fatalf("killed too early: %q", said)
		}
		if _, err := store.Tidy(t.Context(), "j1", 0); err != nil {
			t.Error(err)
		}
		wantNoUploads(t, server, "")
		if _, err := store.Head(t.Context(), "j1/1.mp4"); err == nil {
			t.Error("half a file is visible")
		}
	}
	if _, err := store.Put(t.Context(), "j1/1.mp4", bytes.NewReader(body), storage.PutOptions{Size: int64(len(body))}); err != nil {
		t.Error(err)
	}
}
