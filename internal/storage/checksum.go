package storage

import (
	"encoding/base64"
	"encoding/binary"

	"github.com/minio/crc64nvme"
)

// checksumScheme names the algorithm in Object.Checksum.
const checksumScheme = "crc64nvme:"

// crcBase64 writes a CRC64NVME as S3 does: 8 bytes, big-endian, in base64.
func crcBase64(crc uint64) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, crc))
}

func crcOf(data []byte) uint64 { return crc64nvme.Checksum(data) }

// crcOfTail is the CRC of the last n bytes of a body, from the CRCs of the body with and without them.
// A CRC is a remainder of a division of polynomials, so the front part adds to that of the whole its
// own remainder times x^(8n), and adding is the same as subtracting. A part and the whole need only one
// pass over the bytes that way.
func crcOfTail(whole, front uint64, n int64) uint64 {
	shift := uint64(1) << 63 >> 8 // x^8: bits are reversed, the highest one is x^0
	for ; n > 0; n >>= 1 {
		if n&1 != 0 {
			front = crcMultiply(front, shift)
		}
		shift = crcMultiply(shift, shift)
	}
	return whole ^ front
}

// crcMultiply multiplies two polynomials modulo that of CRC-64/NVME.
func crcMultiply(a, b uint64) (product uint64) {
	const nvme = 0x9a6c9329ac4bc9b5 // the polynomial, bits reversed
	for ; a != 0; a <<= 1 {
		if a>>63 != 0 {
			product ^= b
		}
		b = b>>1 ^ nvme&-(b&1)
	}
	return product
}

// A Digest is the checksum of what was written to it, in the form of Object.Checksum. The zero value is that of nothing.
type Digest struct{ crc uint64 }

// Write implements io.Writer. It never fails.
func (d *Digest) Write(p []byte) (int, error) {
	d.crc = crc64nvme.Update(d.crc, p)
	return len(p), nil
}

// String is the checksum of all that was written.
func (d *Digest) String() string { return checksumScheme + crcBase64(d.crc) }
