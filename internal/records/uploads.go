package records

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// An Upload is a file that Magic Hour holds for a while.
type Upload struct {
	FilePath string    `json:"file_path"`
	At       time.Time `json:"uploaded_at"`
}

func uploadKey(content string) string { return "hourglass:{fleet}:upload:" + content }

// KeepUpload remembers for the fleet, for so long, under which path some content was uploaded, and returns
// the upload that is remembered from now on: that of somebody else who was first and is not too old, so that
// all name the same path. To forget it costs another upload and nothing else.
func (s *Store) KeepUpload(ctx context.Context, content string, u Upload, ttl time.Duration) (Upload, error) {
	text, err := json.Marshal(u)
	if err != nil {
		return u, fmt.Errorf("remember an upload: %w", err)
	}
	first, err := s.rdb.SetNX(ctx, uploadKey(content), text, ttl).Result()
	if err == nil && !first {
		other, found, lookErr := s.KeptUpload(ctx, content)
		if lookErr == nil && found && u.At.Sub(other.At) < ttl {
			return other, nil
		}
		err = errors.Join(lookErr, s.rdb.Set(ctx, uploadKey(content), text, ttl).Err())
	}
	if err != nil {
		return u, fmt.Errorf("remember an upload: %w", err)
	}
	return u, nil
}

// KeptUpload returns the upload of some content, and whether one is remembered.
func (s *Store) KeptUpload(ctx context.Context, content string) (Upload, bool, error) {
	var u Upload
	text, err := s.rdb.Get(ctx, uploadKey(content)).Bytes()
	if errors.Is(err, redis.Nil) {
		return u, false, nil
	}
	if err != nil {
		return u, false, fmt.Errorf("look for an upload: %w", err)
	}
	return u, json.Unmarshal(text, &u) == nil && u.FilePath != "", nil // what can't be read is of a later version
}

// DropUpload forgets the upload of some content if it has this path, which the API does not take. Of
// two at the same moment one may be lost for nothing, which costs another upload. May be repeated.
func (s *Store) DropUpload(ctx context.Context, content, filePath string) error {
	if u, found, err := s.KeptUpload(ctx, content); err != nil || !found || u.FilePath != filePath {
		return err
	}
	if err := s.rdb.Del(ctx, uploadKey(content)).Err(); err != nil {
		return fmt.Errorf("forget an upload: %w", err)
	}
	return nil
}
