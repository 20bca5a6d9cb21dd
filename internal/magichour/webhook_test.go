package magichour

import (
	"encoding/hex"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-290c2414/hourglass/internal/operations"
)

// The documented vector.
const (
	vectorSecret    = "whsec_test_secret"
	vectorStamp     = "1729314984"
	vectorBody      = `{"type":"video.completed","payload":{"id":"clx123","status":"complete"}}`
	vectorSignature = "a32750b59219550c4b7da9a7cb6f05db038b3d7748d4fe6e63b429c1c8319e69"
)

func signedHeader(stamp, signature string) http.Header {
	h := http.Header{}
	h.Set(timestampHeader, stamp)
	h.Set(signatureHeader, signature)
	return h
}

func TestVerifyWebhook(t *testing.T) {
	t.Parallel()
	sent := time.Unix(1729314984, 0)
	ours := []string{"whsec_other", vectorSecret}
	good := signedHeader(vectorStamp, vectorSignature)
	signed := func(stamp string) http.Header {
		return signedHeader(stamp, hex.EncodeToString(sign(vectorSecret, stamp, []byte(vectorBody))))
	}
	tests := []struct {
		name    string
		header  http.Header
		body    string
		secrets []string
		now     time.Time
		want    error
	}{
		{"the documented vector", good, vectorBody, []string{vectorSecret}, sent, nil},
		{"by the second secret, during rotation", good, vectorBody, ours, sent, nil},
		{"hex in capitals", signedHeader(vectorStamp, strings.ToUpper(vectorSignature)), vectorBody, ours, sent, nil},
		{"at the edge, late", good, vectorBody, ours, sent.Add(5 * time.Minute), nil},
		{"at the edge, early", good, vectorBody, ours, sent.Add(-5 * time.Minute), nil},
		{"too late", good, vectorBody, ours, sent.Add(5*time.Minute + time.Second), ErrStale},
		{"too early", good, vectorBody, ours, sent.Add(-5*time.Minute - time.Second), ErrStale},
		{"a timestamp beyond all times", signed(strconv.Itoa(math.MaxInt64)), vectorBody, ours, sent, ErrStale},
		{"a timestamp before all times", signed(strconv.Itoa(math.MinInt64)), vectorBody, ours, sent, ErrStale},
		{"another secret", good, vectorBody, []string{"whsec_other"}, sent, ErrSignature},
		{"no secret", good, vectorBody, nil, sent, ErrSignature},
		{"an empty secret", signedHeader(vectorStamp, hex.EncodeToString(sign("", vectorStamp, []byte(vectorBody)))), vectorBody, []string{""}, sent, ErrSignature},
		{"another body", good, vectorBody + " ", ours, sent, ErrSignature},
		{"another timestamp", signedHeader("1729314985", vectorSignature), vectorBody, ours, sent, ErrSignature},
		{"another signature that is stale", signedHeader("1729314985", vectorSignature), vectorBody, ours, sent.Add(time.Hour), ErrSignature},
		{"no headers", http.Header{}, vectorBody, ours, sent, ErrSignature},
		{"no signature", signedHeader(vectorStamp, ""), vectorBody, ours, sent, ErrSignature},
		{"half a signature", signedHeader(vectorStamp, vectorSignature[:32]), vectorBody, ours, sent, ErrSignature},
		{"a signature that is no hex", signedHeader(vectorStamp, strings.Repeat("g", 64)), vectorBody, ours, sent, ErrSignature},
		{"no timestamp", signedHeader("", vectorSignature), vectorBody, ours, sent, ErrSignature},
		{"a timestamp that is none", signed("yesterday"), vectorBody, ours, sent, ErrSignature},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := VerifyWebhook(tt.header, []byte(tt.body), tt.secrets, tt.now, 5*time.Minute)
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "whsec") {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
}

func TestParseEvent(t *testing.T) {
	t.Parallel()
	created := time.Date(2026, 10, 1, 12, 0, 0, 5e6, time.UTC)
	tests := []struct {
		name, body string
		want       Event // zero: ErrNoEvent
	}{
		{
			"completed", `{"type":"video.completed","payload":{"id":"p1","name":"clip [j~t]","status":"complete","created_at":"2026-10-01T12:00:00.005Z","downloads":[{"url":"x"}]}}`,
			Event{Type: "video.completed", Kind: operations.Video, Project: "p1", Name: "clip [j~t]", Status: "complete", CreatedAt: created},
		},
		{"errored, without a name", `{"type":"image.errored","payload":{"id":"p1","name":null,"status":"error"}}`, Event{Type: "image.errored", Kind: operations.Image, Project: "p1", Status: "error"}},
		{"odd values beside the id", `{"type":"audio.started","payload":{"id":"p1","name":7,"status":{},"created_at":"soon"}}`, Event{Type: "audio.started", Kind: operations.Audio, Project: "p1"}},
		{"a kind of tomorrow", `{"type":"hologram.completed","payload":{"id":"p1"}}`, Event{}},
		{"an event of tomorrow", `{"type":"video.deleted","payload":{"id":"p1"}}`, Event{}},
		{"half a type", `{"type":"video","payload":{"id":"p1"}}`, Event{}},
		{"no type", `{"payload":{"id":"p1"}}`, Event{}},
		{"the old name of the payload", `{"type":"video.completed","object":{"id":"p1"}}`, Event{}},
		{"an id that is none", `{"type":"video.completed","payload":{"id":7}}`, Event{}},
		{"an endless id", `{"type":"video.completed","payload":{"id":"` + strings.Repeat("p", 300) + `"}}`, Event{}},
		{"null", `null`, Event{}},
		{"a list", `[]`, Event{}},
		{"nothing", ``, Event{}},
		{"a page", `<html>`, Event{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := ParseEvent([]byte(tt.body))
			if (tt.want == Event{}) != errors.Is(err, ErrNoEvent) {
				t.Errorf("got error %v", err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestEnded(t *testing.T) {
	t.Parallel()
	for what, want := range map[string]bool{"video.started": false, "image.completed": true, "audio.errored": true} {
		if got := (Event{Type: what}).Ended(); got != want {
			t.Errorf("%s: got %v, want %v", what, got, want)
		}
	}
}

// FuzzWebhook: whatever strangers send, the answer is an event of a project or one of our errors, and what
// is not signed by a secret of ours is never taken.
func FuzzWebhook(f *testing.F) {
	f.Add(vectorStamp, vectorSignature, vectorBody)
	f.Add("", "", "")
	f.Add("-9223372036854775808", strings.Repeat("0", 64), `{"type":"video.completed","payload":null}`)
	f.Add("0", "zz", `{"type":"image.started","payload":{"id":"p","name":"[j~t]","created_at":"9999-12-31T23:59:59Z"}}`)
	f.Fuzz(func(t *testing.T, stamp, signature, body string) {
		err := VerifyWebhook(signedHeader(stamp, signature), []byte(body), []string{vectorSecret}, time.Unix(1729314984, 0), time.Minute)
		switch {
		case err == nil && !strings.EqualFold(signature, hex.EncodeToString(sign(vectorSecret, stamp, []byte(body)))):
			t.Errorf("taken: %q %q", stamp, signature)
		case err != nil && !errors.Is(err, ErrSignature) && !errors.Is(err, ErrStale):
			t.Errorf("got %v", err)
		}
		e, err := ParseEvent([]byte(body))
		if err != nil && !errors.Is(err, ErrNoEvent) || err == nil && (e.Project == "" || e.Kind == "") {
			t.Errorf("got %+v, %v", e, err)
		}
	})
}

// TestOddValuesHideNoProject: what only webhooks need must not make a poll fail.
func TestOddValuesHideNoProject(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]Project{
		`{"id":"p1","status":"complete","name":7,"created_at":"soon"}`:                           {ID: "p1", Status: "complete"},
		`{"id":"p1","status":"complete","name":null,"created_at":null}`:                          {ID: "p1", Status: "complete"},
		`{"id":"p1","status":"complete","name":"clip","created_at":"2026-10-01T14:00:00+02:00"}`: {ID: "p1", Status: "complete", Name: "clip", CreatedAt: Time{time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)}},
	} {
		got, err := client(t, answers(200, "", body)).Project(t.Context(), operations.Video, "p1")
		got.CreatedAt.Time = got.CreatedAt.UTC()
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", body, err, diff)
		}
	}
}
