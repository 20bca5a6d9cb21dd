package storage

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

func TestCRCOfTail(t *testing.T) {
	t.Parallel()
	body := make([]byte, 100_000)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(body)
	for _, n := range []int{0, 1, 2, 7, 8, 255, 256, 4096, 65_537, 99_999, 100_000} {
		for _, whole := range []int{n, min(n+1, len(body)), min(2*n, len(body)), len(body)} {
			front, tail := body[:whole-n], body[whole-n:whole]
			if got, want := crcOfTail(crcOf(body[:whole]), crcOf(front), int64(n)), crcOf(tail); got != want {
				t.Errorf("last %d of %d bytes: got %016x, want %016x", n, whole, got, want)
			}
		}
	}
}

// The tail is 4 GiB of zeros here: what a CRC of zeros would take seconds to compute.
func TestCRCOfLongTail(t *testing.T) {
	t.Parallel()
	const long, piece = 1 << 32, 1 << 20
	zeros := bytes.Repeat([]byte{0}, piece)
	whole, front := crcOf([]byte("front")), crcOf([]byte("front"))
	step := crcOfTail(0, crcOf([]byte("front")), piece) // what "front" becomes by a MiB of zeros
	if want := crcOf(append([]byte("front"), zeros...)) ^ crcOf(zeros); step != want {
		t.Fatalf("a MiB: got %016x, want %016x", step, want)
	}
	for range long / piece {
		whole = crcOfTail(0, whole, piece)
	}
	if got := crcOfTail(0, front, long); got != whole {
		t.Errorf("got %016x, want %016x", got, whole)
	}
}

func BenchmarkCRCOfTail(b *testing.B) {
	for b.Loop() {
		crcOfTail(1, 2, 8*mib)
	}
}

func BenchmarkCRC(b *testing.B) {
	data := make([]byte, 8*mib)
	b.SetBytes(8 * mib)
	for b.Loop() {
		crcOf(data)
	}
}
