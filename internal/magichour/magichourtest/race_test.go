package magichourtest

import (
	"sync"
	"testing"
	"time"
)

// For the race detector: everything at once.
func TestAllAtOnce(t *testing.T) {
	t.Parallel()
	in := newInbox(t)
	h := start(t, Options{Webhooks: Webhooks{URL: in.url, Secret: secret}})
	h.Inject(Fault{Call: Delete, Status: 500, Times: 3}, Fault{Call: Download, Status: 503, Times: 3})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 3 {
				id, project := h.finished("head-swap")
				for _, u := range urls(project) {
					h.download(u)
				}
				h.call("DELETE", "/v1/image-projects/"+id, "")
				h.SetBehavior(id, Behavior{DeletedAs: Disabled, Render: Duration(time.Hour)})
				h.Deliver(t.Context())
				if _, err := h.Outputs(id); err != nil {
					t.Error(err)
				}
				h.Projects()
				h.uploadURL("image", "png")
			}
		})
	}
	wg.Wait()
	h.Deliver(t.Context())
	totals := h.Totals()
	if totals.Creates != 24 || totals.Deletes != 21 || totals.Downloads != 21 || totals.Violations != 0 {
		t.Errorf("totals: %+v", totals)
	}
	if got := len(in.received()); got != 48 {
		t.Errorf("%d webhooks, want 48", got)
	}
}
