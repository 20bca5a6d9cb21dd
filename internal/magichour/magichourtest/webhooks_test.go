package magichourtest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

func TestSignMatchesTheDocumentedVector(t *testing.T) {
	t.Parallel()
	got := Sign("whsec_test_secret", "1729314984", []byte(`{"type":"video.completed","payload":{"id":"clx123","status":"complete"}}`))
	if want := "a32750b59219550c4b7da9a7cb6f05db038b3d7748d4fe6e63b429c1c8319e69"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// An inbox is where webhooks go. It answers with the statuses given, then with 200.
type inbox struct {
	t        *testing.T
	url      string
	mu       sync.Mutex
	types    []string
	stamps   []int64
	statuses []int
}

func newInbox(t *testing.T, statuses ...int) *inbox {
	t.Helper()
	in := &inbox{t: t, statuses: statuses}
	server := httptest.NewServer(in)
	t.Cleanup(server.Close)
	in.url = server.URL
	return in
}

const secret = "whsec_x"

func (in *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	in.mu.Lock()
	defer in.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	stamp := r.Header.Get(timestampHeader)
	if err != nil || r.Header.Get(signatureHeader) != Sign(secret, stamp, body) {
		in.t.Errorf("bad signature, or %v", err)
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		in.t.Error(err)
	}
	var event struct{ Type string }
	if err := json.Unmarshal(body, &event); err != nil {
		in.t.Error(err)
	}
	if err := eventSchema(in.t, event.Type).Validate(decoded(in.t, body)); err != nil {
		in.t.Errorf("%v\n%s", err, body)
	}
	in.types, in.stamps = append(in.types, event.Type), append(in.stamps, seconds)
	if len(in.statuses) > 0 {
		w.WriteHeader(in.statuses[0])
		in.statuses = in.statuses[1:]
	}
}

func (in *inbox) received() []string {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.types
}

// eventSchema is the published one of an event.
func eventSchema(t *testing.T, event string) *jsonschema.Schema {
	t.Helper()
	text, err := os.ReadFile("../../operations/spec/webhooks.json")
	if err != nil {
		t.Fatal(err)
	}
	paths := decoded(t, text).(map[string]any)["paths"].(map[string]any)
	path, ok := paths["/"+event].(map[string]any)
	if !ok {
		t.Fatalf("no event %q", event)
	}
	return bodySchema(path["post"].(map[string]any)["requestBody"])
}

func decoded(t *testing.T, text []byte) any {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func TestEvents(t *testing.T) {
	t.Parallel()
	tests := []struct {
		operation, directive string
		webhooks             Webhooks
		want                 []string
	}{
		{"face-swap", "", Webhooks{}, []string{"video.started", "video.completed"}},
		{"face-swap", "[fake error=x]", Webhooks{}, []string{"video.started", "video.errored"}},
		{"face-swap", "[fake canceled]", Webhooks{}, []string{"video.started"}},
		{"ai-voice-generator", "", Webhooks{}, []string{"audio.started", "audio.completed"}},
		{"head-swap", "", Webhooks{}, []string{"image.started", "image.completed"}},
		{"photo-colorizer", "", Webhooks{}, []string{"image.completed"}}, // quick: started is skipped
		{"head-swap", "", Webhooks{Duplicate: true}, []string{"image.started", "image.started", "image.completed", "image.completed"}},
		{"head-swap", "", Webhooks{Reorder: true}, []string{"image.completed", "image.started"}},
		{"head-swap", "", Webhooks{Early: true}, []string{"image.started", "image.completed"}},
		{"head-swap", "", Webhooks{Lose: true}, nil},
	}
	for _, test := range tests {
		t.Run(test.operation+test.directive, func(t *testing.T) {
			t.Parallel()
			in := newInbox(t)
			test.webhooks.URL, test.webhooks.Secret = in.url, secret
			h := start(t, Options{Webhooks: test.webhooks})
			h.create(test.operation, `"name":"`+test.directive+`"`)
			h.Deliver(t.Context())
			if early := len(in.received()) > 0; early != test.webhooks.Early {
				t.Errorf("before anything started: %v", in.received())
			}
			h.clock.advance(time.Hour)
			h.Deliver(t.Context())
			if again := h.Deliver(t.Context()); again != 0 {
				t.Errorf("%d were sent again", again)
			}
			if diff := cmp.Diff(test.want, in.received()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEventsComeAtTheirTime(t *testing.T) {
	t.Parallel()
	in := newInbox(t)
	h := start(t, Options{Webhooks: Webhooks{URL: in.url, Secret: secret}, Render: map[string]time.Duration{"": 10 * time.Second}})
	h.create("face-swap")
	for _, want := range []int{0, 1, 0, 0, 0, 1, 0} { // 0 s, 2 s, ... 10 s, 12 s
		if got := h.Deliver(t.Context()); got != want {
			t.Errorf("%v: %d sent, want %d", h.clock.Now(), got, want)
		}
		h.clock.advance(2 * time.Second)
	}
}

func TestRetries(t *testing.T) {
	t.Parallel()
	for _, stale := range []bool{false, true} {
		in := newInbox(t, 500, 404, 302)
		h := start(t, Options{Webhooks: Webhooks{URL: in.url, Secret: secret, Stale: stale, Age: Duration(time.Minute)}})
		first := h.clock.Now().Add(time.Hour - time.Minute).Unix()
		h.create("photo-colorizer")
		h.clock.advance(time.Hour)
		var taken []int
		for range 8 {
			taken = append(taken, h.Deliver(t.Context()))
			h.clock.advance(time.Second)
		}
		if diff := cmp.Diff([]int{0, 0, 0, 0, 0, 0, 0, 1}, taken); diff != "" {
			t.Error(diff)
		}
		want := []int64{first, first + 1, first + 3, first + 7}
		if stale {
			want = []int64{first, first, first, first}
		}
		if diff := cmp.Diff(want, in.stamps); diff != "" {
			t.Errorf("stale=%v: %s", stale, diff)
		}
		if got := h.Totals().Webhooks; got != 4 {
			t.Errorf("%d attempts in the ledger, want 4", got)
		}
	}
}

func TestDeliveryIsGivenUpAfterADay(t *testing.T) {
	t.Parallel()
	in := newInbox(t, 500, 500, 500)
	h := start(t, Options{Webhooks: Webhooks{URL: in.url, Secret: secret}})
	h.create("photo-colorizer")
	for range 4 {
		h.clock.advance(20 * time.Hour)
		h.Deliver(t.Context())
	}
	if got := len(in.received()); got != 3 {
		t.Errorf("%d attempts, want 3", got)
	}
}
