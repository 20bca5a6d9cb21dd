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
