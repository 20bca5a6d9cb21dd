package magichour

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/seed-290c2414/hourglass/internal/operations"
)

var (
	// ErrSignature says that a webhook was not sent by Magic Hour, or not with one of our secrets.
	ErrSignature = errors.New("bad signature")

	// ErrStale says that a webhook was signed by Magic Hour, but too far from now: it may be an old
	// one that somebody sends again, a late retry, or a clock is wrong.
	ErrStale = errors.New("timestamp outside the tolerance")

	// ErrNoEvent says that a webhook is about nothing that this version knows.
	ErrNoEvent = errors.New("not an event of a project")
)

// The documented headers.
const (
	signatureHeader = "magic-hour-event-signature" // hex; the case of its letters means nothing
	timestampHeader = "magic-hour-event-timestamp" // Unix seconds
)

// VerifyWebhook says whether Magic Hour sent a body, with one of the given secrets, no further from
// now than the tolerance. Otherwise the error is ErrSignature or ErrStale; it holds no secret.
//
// What is signed is the timestamp as it is written, a dot, and the bytes of the body.
//
// Source: the pages on webhooks of https://docs.magichour.ai
func VerifyWebhook(header http.Header, body []byte, secrets []string, now time.Time, tolerance time.Duration) error {
	stamp := header.Get(timestampHeader)
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return fmt.Errorf("%w: %s holds no Unix time", ErrSignature, timestampHeader)
	}
	given, err := hex.DecodeString(header.Get(signatureHeader))
	if err != nil || len(given) != sha256.Size {
		return fmt.Errorf("%w: %s holds no HMAC-SHA256 in hex", ErrSignature, signatureHeader)
	}
	known := false
	for _, secret := range secrets {
		known = secret != "" && hmac.Equal(given, sign(secret, stamp, body)) || known
	}
	if !known {
		return fmt.Errorf("%w: made with none of our secrets", ErrSignature)
	}
	if age := now.Sub(time.Unix(seconds, 0)); age.Abs() > tolerance {
		return fmt.Errorf("%w: it is %s old, and up to %s is taken", ErrStale, age.Round(time.Second), tolerance)
	}
	return nil
}

func sign(secret, stamp string, body []byte) []byte {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(stamp + "."))
	mac.Write(body)
	return mac.Sum(nil)
}

// An Event says that something happened to a project. It is no more than a hint: events come
// twice, late, in any order, or never.
type Event struct {
	Type      string          // such as video.completed
	Kind      operations.Kind // of the project
	Project   string          // its id
	Name      string          // of the project; empty if it has none
	Status    string
	CreatedAt time.Time // when the project was made; zero if the event does not say it
}

// Ended reports whether the event says that a render has come to its end.
func (e Event) Ended() bool {
	return strings.HasSuffix(e.Type, ".completed") || strings.HasSuffix(e.Type, ".errored")
}

const longestID = 256 // bytes; those of the API have 25

// ParseEvent reads the body of a webhook. One that is about nothing we know is ErrNoEvent.
func ParseEvent(body []byte) (Event, error) {
	var b struct {
		Type    Text
		Payload struct {
			ID        string
			Name      Text
			Status    Text
			CreatedAt Time `json:"created_at"`
		}
	}
	if err := json.Unmarshal(body, &b); err != nil {
		return Event{}, fmt.Errorf("%w: %w", ErrNoEvent, err)
	}
	kind, what, _ := strings.Cut(string(b.Type), ".")
	switch operations.Kind(kind) {
	case operations.Video, operations.Image, operations.Audio:
	default:
		return Event{}, fmt.Errorf("%w: of type %q", ErrNoEvent, clip(string(b.Type)))
	}
	switch what {
	case "started", "completed", "errored":
	default:
		return Event{}, fmt.Errorf("%w: of type %q", ErrNoEvent, clip(string(b.Type)))
	}
	if id := b.Payload.ID; id == "" || len(id) > longestID {
		return Event{}, fmt.Errorf("%w: %s without a project", ErrNoEvent, b.Type)
	}
	return Event{
		Type: string(b.Type), Kind: operations.Kind(kind), Project: b.Payload.ID,
		Name: string(b.Payload.Name), Status: string(b.Payload.Status), CreatedAt: b.Payload.CreatedAt.Time,
	}, nil
}
