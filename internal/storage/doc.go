// Package storage keeps finished media in the user's own bucket or folder, and proves it.
//
// # The proof
//
// Put reads its source once, as a stream, and computes a CRC64NVME over what it read. The
// store is given that checksum with the bytes and refuses them if they differ. Afterwards it
// is asked afresh, and must answer the same checksum over the whole object and the same
// length. An ETag proves nothing: of a multipart or encrypted object it is no checksum of
// the bytes. CRC64NVME is what S3 itself keeps for whole objects made of parts; it finds
// accidents, not forgers who can write to the bucket.
//
// Some stores repeat the checksum that they were told, to whoever asks, and would prove
// anything. So before the first answer of a store is believed, it is given bytes with a wrong
// checksum: as an object, as a part, and as an object of parts. One that takes any of them, or
// has no checksum of an object, is read back instead: every copy, at every proof. Check says
// which of the two it is, and Object.AsGiven whether the bytes found are those that were given.
//
// # S3
//
// Credentials, region and endpoint are found as the AWS SDK finds them (AWS_* variables,
// AWS_ENDPOINT_URL_S3, shared files, roles of the machine). Permissions needed:
//
//	s3:PutObject, s3:GetObject, s3:AbortMultipartUpload   on arn:aws:s3:::bucket/prefix/*
//	s3:ListBucket, s3:ListBucketMultipartUploads          on arn:aws:s3:::bucket
//
// Without s3:ListBucket, S3 answers 403 instead of 404 for what is not there, which cannot
// be told from a lost permission. Without s3:ListBucketMultipartUploads only Tidy fails, and
// says so. No object is ever deleted. With SSE-KMS, the key must allow kms:GenerateDataKey and
// kms:Decrypt as well; with tags, s3:PutObjectTagging is needed.
//
// The URL of the store may say how every object is made: ?sse=s3, or ?sse=kms&kms-key=ID, and
// &tag=name=value up to ten times. Without, the bucket's own default encryption holds.
//
// Objects made: the copies, and one of 10 bytes named ".hourglass-check" below the prefix,
// by which a store is tried, and which stays there, so that it needs no right to delete. A store
// that verifies nothing gets ".hourglass-check-wrong" as well.
//
// A body of up to one part is one PutObject; a longer one is a multipart upload, of which up to
// four parts are sent while the next one is read. A part is 8 MiB, or 1/10,000 of the announced
// length if that is more. A length that was not announced may reach 351 GiB, as far as two parts
// of 64 MiB fit into Options.CopyMemory. All copies of a store together hold no more than that:
// one for which there is no room waits its turn, and holds nothing while it waits but what is
// being sent, so that no two wait for each other. An upload that fails
// is aborted. A process that is killed leaves its parts behind, invisible and charged for:
// Tidy finds them. It aborts uploads whose key is "<folder>/<number>.<extension>" below the
// prefix, as those of the copies are, and none of another program in the same bucket. Give the
// bucket a lifecycle rule with AbortIncompleteMultipartUpload after three days as well, for
// when no worker runs any more.
//
// Nothing is overwritten unless asked: writes carry If-None-Match, so of two writers one
// wins. A store that does not keep to that is refused by Check. It works with AWS S3 and
// versitygw 1.8.
//
// # Local directory
//
// Objects are plain files at their keys. Beside them are names that begin with a dot, which
// no key does: ".<random>.part" while a copy is being written, and
// ".<name>.<checksum>.meta", JSON with the content type and metadata of a file with that
// content. Both are durable before the object appears, by a hard link that never replaces.
// Litter of crashed copies is removed by the next Put into the same folder once it is a day
// old, and its temporary files by Tidy. Head reads the whole file, so a proof costs as much as
// reading it; right after the copy the system may answer from its memory, though what it writes is
// on the disk by then. The file system must have hard links, and must be mounted on every worker.
package storage
