package e2e

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/hibiken/asynq"

	"github.com/seed-290c2414/hourglass/internal/testservers"
	"github.com/seed-290c2414/hourglass/tasks"
)

// stalledOnce makes files of three parts of an upload, whose first download stands still in the
// second part.
const stalledOnce = `{"output_size":20971520,"body":"stalled","body_times":1}`

// TestDownloadCutShort: a copy that the drain time does not suffice for is called off, leaves no
// upload in the bucket, however slow the bucket is, and is made by the next worker.
func TestDownloadCutShort(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "--render", "10ms")
	f.put("/_fake/behavior", stalledOnce)
	worker, _ := f.startWorker("HOURGLASS_DRAIN=100ms", "AWS_ENDPOINT_URL_S3="+slowAborts(t, f.s3.Endpoint))
	r := request(0)
	f.submit(r)
	f.eventually("an upload has begun", func() bool { return len(uploads(t, f.s3)) == 1 })
	worker.signal(syscall.SIGTERM)
	if !worker.ends(20*time.Second) || worker.process.ProcessState.ExitCode() != 0 {
		t.Fatalf("the worker ended with %v", worker.process.ProcessState)
	}
	if left := uploads(t, f.s3); len(left) != 0 {
		t.Errorf("left in the bucket: %v", left)
	}
	if task, err := f.inspector.GetTaskInfo("hourglass-download", r.ID+":download"); err != nil || task.State != asynq.TaskStatePending || task.Retried != 0 {
		t.Errorf("the task was not handed back: %+v, %v", task, err)
	}
	f.startWorker()
	f.finished(r.ID)
}

// finished waits until a job is done, and holds that it was bought once, and copied to the byte.
func (f *fleet) finished(id string) {
	f.t.Helper()
	out, stderr, code := f.enqueue("wait", id, "--timeout", "1m", "--json")
	var s tasks.Status
	if err := json.Unmarshal([]byte(out), &s); err != nil || code != 0 {
		f.t.Fatalf("wait: exit %d, %v: %s", code, err, stderr)
	}
	f.checkJob(s)
	f.checkDeletes()
	if got := f.totals(); got.Creates != 1 || got.Deletes != 1 || got.Violations != 0 {
		f.t.Errorf("the API saw %+v", got)
	}
}

// slowAborts returns the address of the S3 server behind a proxy that keeps every DELETE for
// three seconds, and forgets it if the client goes away meanwhile. (A program with the race detector
// ends a second late.)
func slowAborts(t *testing.T, endpoint string) string {
	t.Helper()
	target, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	pass := &httputil.ReverseProxy{ErrorHandler: func(http.ResponseWriter, *http.Request, error) {}, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host // it is signed
	}}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete {
			select {
			case <-time.After(3 * time.Second):
			case <-r.Context().Done():
				return
			}
		}
		pass.ServeHTTP(w, r)
	}))
	t.Cleanup(proxy.Close)
	return proxy.URL
}

// uploads lists the keys of the uploads that were begun, and neither completed nor aborted.
func uploads(t *testing.T, server testservers.S3) (keys []string) {
	t.Helper()
	client := s3.New(s3.Options{
		BaseEndpoint: &server.Endpoint, Region: server.Region, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(server.AccessKey, server.SecretKey, ""),
	})
	list, err := client.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: aws.String("media")})
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range list.Uploads {
		if key := aws.ToString(u.Key); !strings.Contains(key, ".hourglass-check") { // by which a worker tries the store
			keys = append(keys, key)
		}
	}
	return keys
}

// TestSecondSignal: whoever can't wait for the drain signals again, and the process ends at once.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "--render", "10ms")
	f.put("/_fake/behavior", stalledOnce)
	worker, address := f.startWorker("HOURGLASS_DRAIN=5m")
	r := request(0)
	f.submit(r)
	f.eventually("an upload has begun", func() bool { return len(uploads(t, f.s3)) == 1 })
	worker.signal(syscall.SIGTERM)
	f.eventually("the worker drains", func() bool { return f.get(address+"/readyz", nil) == 503 })
	if worker.ends(time.Second) {
		t.Fatalf("it did not drain: %v", worker.process.ProcessState)
	}
	worker.signal(syscall.SIGTERM)
	if !worker.ends(time.Second) {
		t.Fatal("a second signal did not end it within a second")
	}
	if status := worker.process.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGTERM {
		t.Errorf("ended by %v", worker.process.ProcessState)
	}
	// Its task stands as active, and comes back when its lease has run out: in one to two minutes.
	if got, calls := f.state(r.ID), f.totals(); got != tasks.Storing || calls.Creates != 1 || calls.Deletes != 0 {
		t.Errorf("the job is %s, and the API saw %+v", got, calls)
	}
}
