package tasks

import (
	"testing"

	"github.com/hibiken/asynq"
)

// TestCleanupHasTheTimeOfADownload: some stores are read back to be proved, and that takes as long as the copying.
func TestCleanupHasTheTimeOfADownload(t *testing.T) {
	t.Parallel()
	limit := func(p Payload) any {
		for _, o := range p.Options() {
			if o.Type() == asynq.TimeoutOpt {
				return o.Value()
			}
		}
		return nil
	}
	if got, want := limit(&Cleanup{}), limit(&Download{}); got != want || want == nil {
		t.Errorf("got %v, want %v", got, want)
	}
}
