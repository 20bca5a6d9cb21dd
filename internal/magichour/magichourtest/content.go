package magichourtest

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"io"
	"path"
	"strconv"
)

// file makes the bytes that stand at a path. They follow from seed, path and edition alone, so
// none are kept. A size of 0 makes media that play.
func (s *Server) file(path string, edition int, size int64) io.ReadSeeker {
	noise := newNoise(s.digest(append([]string{"content", path}, editionOf(edition)...)...))
	if size > 0 {
		return io.NewSectionReader(noise, 0, size)
	}
	return bytes.NewReader(media(path, noise))
}

// editionOf is nothing for the first one, so that seeds make what they always made.
func editionOf(n int) []string {
	if n == 0 {
		return nil
	}
	return []string{strconv.Itoa(n)}
}

func media(name string, n noise) []byte {
	switch path.Ext(name) {
	case ".png":
		return picture(n)
	case ".gif":
		return animation(n)
	case ".wav":
		return tone(n)
	case ".webm":
		return webm(n)
	default:
		return mp4(n)
	}
}

func contentType(name string) string {
	switch path.Ext(name) {
	case ".png":
		return "image/png"
	case ".gif":
		return "image/gif"
	case ".wav":
		return "audio/wav"
	case ".webm":
		return "video/webm"
	default:
		return "video/mp4"
	}
}

// noise is an endless file of seeded bytes that can be read from anywhere: the key stream
// of AES in counter mode.
type noise struct{ block cipher.Block }

func newNoise(key [32]byte) noise {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // 32 bytes are a key
	}
	return noise{block}
}

// ReadAt fills p with what stands at the offset. It never fails.
func (n noise) ReadAt(p []byte, offset int64) (int, error) {
	var counter [aes.BlockSize]byte
	binary.BigEndian.PutUint64(counter[8:], uint64(offset/aes.BlockSize))
	stream := cipher.NewCTR(n.block, counter[:])
	var before [aes.BlockSize]byte
	stream.XORKeyStream(before[:offset%aes.BlockSize], before[:offset%aes.BlockSize])
	clear(p)
	stream.XORKeyStream(p, p)
	return len(p), nil
}

// first returns the bytes at the beginning.
func (n noise) first(count int) []byte {
	p := make([]byte, count)
	_, _ = n.ReadAt(p, 0)
	return p
}
