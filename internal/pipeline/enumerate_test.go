package pipeline

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/seed-290c2414/hourglass/internal/magichour/magichourtest"
	"github.com/seed-290c2414/hourglass/internal/storage"
	"github.com/seed-290c2414/hourglass/internal/storage/storagetest"
	"github.com/seed-290c2414/hourglass/tasks"
)

// A tale is a job on its way from Submit to its end, to which anything may happen.
type tale struct {
	name    string
	request tasks.Request
	layers  []layer // whose calls are enumerated; all if empty
	inParts bool    // into an S3 store, in more than one part
	bad     bool    // into an S3 store that verifies nothing, and damages the first file
	late    bool    // also with killed tasks that are found late
	bare    bool    // handed in as a bare task, whose record is made at first sight
	lost    bool    // every task is lost once, so that the sweeper has to find the job
	refused bool    // the API refuses the request for good
	failing bool    // the render fails
	told    bool    // somebody is told, by every way
	inputs  bool    // the request names objects of a bucket
}

func tales() []tale {
	r := requests()
	return []tale{
		{name: "video", request: r[0]},
		{name: "images", request: r[1], late: true},
		{name: "voice", request: r[2], bare: true},
		{name: "lost tasks", request: r[0], lost: true},
		{name: "refused", request: r[2], layers: []layer{inRedis, inHTTP}, refused: true},
		{name: "render fails", request: r[2], layers: []layer{inRedis, inHTTP}, failing: true},
		{name: "told", request: r[2], layers: []layer{inRedis}, late: true, told: true},
		{name: "told of a failure", request: r[2], layers: []layer{inRedis}, failing: true, lost: true, told: true},
		{name: "inputs", request: fromBucket("inputs"), inputs: true},
		// What Redis is asked is the same with every store.
		{name: "multipart", request: r[0], layers: []layer{inHTTP, inStore}, inParts: true},
		{name: "bad store", request: r[0], layers: []layer{inHTTP, inStore}, bad: true},
	}
}

// The two ways in which the world goes on. What one of them hides, the other shows.
var (
	atOnce = recovery{atOnce: true, retained: true, again: true}
	late   = recovery{late: true, sweeps: true}
)

// TestFaults injects every single fault into a job of each kind: one into each call to the outside,
// of each layer and each kind, until there is no such call any more.
func TestFaults(t *testing.T) {
	t.Parallel()
	var all tally
	t.Run("in", func(t *testing.T) {
		for _, tale := range tales() {
			t.Run(tale.name, func(t *testing.T) {
				t.Parallel()
				tale.enumerate(t, &all)
			})
		}
	})
	t.Log(all.String())
}

// enumerate injects every single fault into the tale.
func (s tale) enumerate(t *testing.T, all *tally) {
	for _, l := range layers() {
		if len(s.layers) > 0 && !slices.Contains(s.layers, l) {
			continue
		}
		for _, k := range kinds() {
			t.Run(fmt.Sprintf("%s %s", l, k), func(t *testing.T) {
				t.Parallel()
				all.add(s.until(t, l, k, atOnce))
			})
			if s.late && k.stops() {
				t.Run(fmt.Sprintf("%s %s, found late", l, k), func(t *testing.T) {
					t.Parallel()
					all.add(s.until(t, l, k, late))
				})
			}
		}
	}
}

// mostCalls is more than any tale makes in a layer: where -run chooses some of the numbers, nobody
// sees the last one.
const mostCalls = 1000

// until injects a fault into every call of a layer, until there is no such call.
func (s tale) until(t *testing.T, l layer, k kind, r recovery) *tally {
	ends := &tally{}
	for n := 0; n < mostCalls; n += stride {
		ran, fired := false, false
		t.Run(strconv.Itoa(n+1), func(t *testing.T) {
			end := s.tell(t, r, fault{l, n + 1, k})
			ran, fired = true, len(end.met) > 0
			ends.count(end)
		})
		if t.Failed() {
			t.FailNow()
		}
		if ran && !fired {
			break
		}
	}
	switch {
	case ends.of(string(l)) == 0:
		t.Errorf("the layer %s has no calls", l)
	case ends.of(string(l)) >= mostCalls/stride:
		t.Errorf("the layer %s has calls without end", l)
	}
	t.Log(ends.String())
	return ends
}

// tell runs the tale once, with these faults, and checks the laws at its end.
func (s tale) tell(t *testing.T, r recovery, faults ...fault) ending {
	w := s.world(t)
	w.recovery, w.faults, w.loses, w.failing = r, faults, s.lost, s.refused || s.failing
	if s.refused {
		w.fake.Inject(magichourtest.Fault{Call: magichourtest.Create, Status: http.StatusUnprocessableEntity, Times: -1})
	}
	if s.failing {
		w.fake.SetDefaultBehavior(magichourtest.Behavior{Error: "no_source_face"})
	}
	defer func() {
		if t.Failed() {
			t.Logf("%s, %+v, %v:\n%s\nagain: go test -run '^%s$' ./internal/pipeline", s.name, r, faults, w.story(), strings.ReplaceAll(t.Name(), "/", "$/^"))
		}
	}()
	accepted := true
	if s.told {
		s.request.Options.Notify = w.receiver.everyWay()
	}
	if s.bare {
		w.submit(s.request)
	} else {
		accepted = w.handIn(s.request)
	}
	w.run()
	w.settle()
	w.calm() // what follows only looks on
	return w.checkEnd(s.request.ID, accepted)
}

// inParts is the size of a file that the S3 store sends in two parts.
const inParts = 8<<20 + 1000

func (s tale) world(t *testing.T) *world {
	o := magichourtest.Options{Render: slow, OutputSize: 3000}
	if s.inParts {
		o.OutputSize = inParts
	}
	if s.inParts || s.bad {
		return newWorldOnS3(t, o, s.bad)
	}
	dir := t.TempDir()
	store := open(t, "file://"+dir, storage.Options{})
	w := newWorldOn(t, o, time.Now(), store) // Submit goes by the real clock
	if s.inputs {
		w.withInputs(t)
	}
	if s.told {
		w.receiver = newReceiver(t)
	}
	w.litter = func() []string { return unfinished(t, dir) }
	w.stores = func(p *process) storage.Store { return storeGate{p, store} }
	w.start()
	return w
}

func newWorldOnS3(t *testing.T, o magichourtest.Options, bad bool) *world {
	server := storagetest.NewS3(t, "media")
	server.Bad = bad
	w := newWorldOn(t, o, time.Now(), open(t, "s3://media/deep", server.Options()))
	w.litter = func() []string {
		return slices.DeleteFunc(server.Uploads(), func(key string) bool { return strings.Contains(key, ".hourglass-check") }) // not the job's
	}
	w.stores = func(p *process) storage.Store {
		client := &http.Client{Transport: &http.Transport{}}
		t.Cleanup(client.CloseIdleConnections)
		return open(t, "s3://media/deep", server.Options(
			config.WithHTTPClient(s3Gate{p, client, false}),
			config.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} }), // its pauses are real
		))
	}
	w.start()
	return w
}

func open(t tester, url string, o storage.Options) storage.Store {
	t.Helper()
	store, err := storage.Open(t.Context(), url, o)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// handIn submits the job as another service does, again for as long as there is an error of Redis. It
// reports whether the job was accepted: a caller who was killed may never come back.
func (w *world) handIn(r tasks.Request) bool {
	w.t.Helper()
	for range 5 {
		caller := w.begin()
		err := caller.alive(func() error {
			_, err := tasks.NewClient(caller.rdb).Submit(w.t.Context(), r)
			return err
		})
		switch {
		case err == nil:
			return true
		case errors.Is(err, errKilled) && !w.recovery.again:
			return false
		}
	}
	w.t.Fatal("the job was never accepted")
	return false
}

// settle lets the sweeper come by when all that has to wait has waited long enough.
func (w *world) settle() {
	w.t.Helper()
	for range 5 {
		w.forward(2 * time.Hour)
		if !w.sweep() {
			return
		}
		w.run()
	}
	w.t.Error("the sweeper always finds something to do")
}
