package storage

import (
	"bytes"
	"testing"
)

func TestPartSizes(t *testing.T) {
	t.Parallel()
	const gib, tib = 1 << 30, 1 << 40
	tests := []struct {
		name  string
		n     int
		total int64
		want  int64
	}{
		{"empty", 1, 0, 8 * mib},
		{"small", 1, 100, 8 * mib},
		{"the most that 8 MiB reach", 1, 10_000 * 8 * mib, 8 * mib},
		{"a byte more", 1, 10_000*8*mib + 1, 9 * mib},
		{"the largest object of S3", 1, 5 * tib, 525 * mib},
		{"the last part is no other", 10_000, 100 * gib, 11 * mib},
		{"unknown", 1, -1, 8 * mib},
		{"unknown, before it grows", 5_000, -1, 8 * mib},
		{"unknown, after it grew", 5_001, -1, 64 * mib},
	}
	for _, test := range tests {
		if got := s3PartSizes.of(test.n, test.total); got != test.want {
			t.Errorf("%s: got %d, want %d", test.name, got, test.want)
		}
		if test.total >= 0 && s3PartSizes.of(1, test.total)*maxParts < test.total {
			t.Errorf("%s: needs more than %d parts", test.name, maxParts)
		}
	}
}

// Parts must put together what was cut, whatever the sizes, and the last must know that it is.
func TestCutter(t *testing.T) {
	t.Parallel()
	body := []byte("the quick brown fox jumps over the lazy dog")
	for total := range len(body) {
		for first := int64(1); first < 12; first++ {
			for _, announced := range []int64{int64(total), -1} {
				sizes := partSizes{first: first, grown: 2 * first, growAt: 2}
				source := newSource(t.Context(), bytes.NewReader(body[:total]), announced)
				got, parts := cutAll(t, &cutter{body: source, sizes: sizes, memory: newMemory(LeastCopyMemory)})
				if !bytes.Equal(got, body[:total]) || source.size != int64(total) || source.crc != crcOf(body[:total]) {
					t.Errorf("%d bytes, %d announced, in parts of %d: got %q in %d parts", total, announced, first, got, parts)
				}
			}
		}
	}
}

func cutAll(t *testing.T, c *cutter) (all []byte, parts int) {
	t.Helper()
	for {
		p, err := c.next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		parts++
		if int(p.number) != parts || p.crc != crcOf(p.data) || len(p.data) == 0 && parts > 1 {
			t.Errorf("part %d: got number %d, %d bytes, crc %x", parts, p.number, len(p.data), p.crc)
		}
		all = append(all, p.data...)
		c.memory.give(p.data)
		if p.last {
			return all, parts
		}
	}
}

func TestCutterHasALimit(t *testing.T) {
	t.Parallel()
	c := &cutter{body: newSource(t.Context(), endless{}, -1), sizes: partSizes{first: 1, grown: 1}, memory: newMemory(LeastCopyMemory)}
	for range maxParts {
		p, err := c.next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c.memory.give(p.data)
	}
	if _, err := c.next(t.Context()); err == nil {
		t.Errorf("got a part more than the %d that S3 takes", maxParts)
	}
}

type endless struct{}

// Read implements io.Reader.
func (endless) Read(p []byte) (int, error) { return len(p), nil }
