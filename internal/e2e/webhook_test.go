package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/seed-290c2414/hourglass/tasks"
)

// hookSecret is a marker: it must turn up in no log.
const hookSecret = "whsec_canary_e2e"

// sendWebhooks lets fakehour send its events to a worker.
func (f *fleet) sendWebhooks(worker string) {
	f.t.Helper()
	f.put("/_fake/webhooks", `{"url":"`+worker+`/webhooks/magichour","secret":"`+hookSecret+`","duplicate":true}`)
}

func (f *fleet) checkHookSecret() {
	f.t.Helper()
	f.checkSecrets()
	for _, l := range f.logs {
		if strings.Contains(l.text(), hookSecret) {
			f.t.Error("a log shows the webhook's secret")
		}
	}
}

// TestWebhookAdopts: one worker parks the job, since the answer to its create is lost, and the webhook of the project
// comes to another one, and brings the job back on the road; nothing is bought twice.
func TestWebhookAdopts(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "--render", "5s")
	buyer, _ := f.startWorker("HOURGLASS_STAGES=create")
	worker, url := f.startWorker("MAGIC_HOUR_WEBHOOK_SECRET=whsec_old,"+hookSecret, "HOURGLASS_STAGES=poll,download,cleanup", "HOURGLASS_LOG_LEVEL=debug")
	f.sendWebhooks(url)
	f.post("/_fake/faults", `{"call":"create","do":"reset","after":true}`)
	r := request(0)
	f.submit(r)
	f.eventually("the job is done", func() bool { return f.state(r.ID) == tasks.Done })
	if line := worker.find(`"project adopted"`); !strings.Contains(line, `"from":"unknown"`) {
		t.Errorf("the job was not parked and then adopted: %s", line)
	}
	if buyer.find(`"msg":"unknown"`) == "" || strings.Contains(buyer.text(), `"project adopted"`) {
		t.Errorf("it was not one worker that parked the job, and the other one that adopted it:\n%s", buyer.text())
	}
	if got := f.totals(); got.Creates != 1 || got.Deletes != 1 {
		t.Errorf("the API saw %+v", got)
	}
	f.checkHookSecret()
}

// TestWebhookHastens: with polls ten minutes apart, a render is noticed when it completes.
func TestWebhookHastens(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "--render", "2s")
	_, url := f.startWorker("MAGIC_HOUR_WEBHOOK_SECRET="+hookSecret, "HOURGLASS_POLL_INTERVAL=10m")
	f.sendWebhooks(url)
	began := time.Now()
	for i := range 3 {
		f.submit(request(i))
	}
	for i := range 3 {
		f.eventually("the job is done", func() bool { return f.state(request(i).ID) == tasks.Done })
	}
	t.Logf("all done after %v", time.Since(began))
	if got := f.totals(); got.Creates != 3 || got.Polls > 30 {
		t.Errorf("the API saw %+v", got)
	}
	f.checkHookSecret()
}
