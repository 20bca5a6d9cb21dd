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

// KeepUpload remembers for the fleet, for so long, under which path some content was uploaded. To forget it
// costs another upload and nothing else.
func (s *Store) KeepUpload(ctx context.Context, content string, u Upload, ttl time.Duration) error {
	text, err := json.Marshal(u)
	if err == nil {
		err = s.rdb.Set(ctx, uploadKey(content), text, ttl).Err()
	}
	if err != nil {
		return fmt.Errorf("remember an upload: %w", err)
	}
	return nil
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

// DropUpload forgets an upload: the API does not take its path. May be repeated.
func (s *Store) DropUpload(ctx context.Context, content string) error {
	if err := s.rdb.Del(ctx, uploadKey(content)).Err(); err != nil {
		return fmt.Errorf("forget an upload: %w", err)
	}
	return nil
}
