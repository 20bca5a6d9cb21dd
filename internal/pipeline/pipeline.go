// Package pipeline moves jobs along their road: create, poll, download, cleanup.
//
// Every task takes the same step (see handle): load the record, do the one thing outside, save
// the record by compare-and-set, enqueue the next task, acknowledge. Never is the next task
// enqueued before the record is saved, so that a crash anywhere leaves a record from which the
// next task can be derived, and any task may run again at any time.
//
// A stage is one method that does one thing outside and returns a decision: a pure function of
// the record, which is applied again to a fresher record when somebody else has changed it. The
// outside call is never repeated for that.
package pipeline

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/trace"

	"github.com/seed-290c2414/hourglass/internal/callback"
	"github.com/seed-290c2414/hourglass/internal/magichour"
	"github.com/seed-290c2414/hourglass/internal/pace"
	"github.com/seed-290c2414/hourglass/internal/records"
	"github.com/seed-290c2414/hourglass/internal/storage"
	"github.com/seed-290c2414/hourglass/tasks"
)

// Settings are what an operator may choose.
type Settings struct {
	PollInterval  time.Duration // fixed time between polls; 0: by what is known of the operation
	PollDelay     pace.Trade    // mean delay between ready and noticed to accept for fewer polls
	RecordTTL     time.Duration // how long ended jobs stay readable
	TaskRetention time.Duration // how long finished tasks stay visible in Asynqmon
	GiveUp        time.Duration // age at which an unfinished job fails
	APIRate       float64       // calls a second to the API, over the fleet; 0: any number
	MaxRenders    int           // projects that may render at once, over the fleet; 0: any number
}

// Pipeline handles the tasks of all stages. It is safe for concurrent use.
type Pipeline struct {
	api       *magichour.Client
	store     storage.Store
	inputs    *storage.Inputs // nil: none may be read
	records   *records.Store
	holds     *Holds
	paces     paces
	queue     *asynq.Client
	inspector *asynq.Inspector
	log       *slog.Logger
	tracer    trace.Tracer // nil: no spans are made
	setbacks  seldom       // of the log
	observer  Observer
	now       func() time.Time
	after     func(time.Duration) <-chan time.Time
	retried   func(context.Context) int // how often the task has failed before
	set       Settings
	callbacks *callback.Sender
	hosts     hosts
	untidy    atomic.Bool // the store has refused to tidy, and somebody was told

	uploads     chan struct{}   // one for each upload of an input that is under way; Serve says how many may be
	stopping    context.Context // ends when uploads are to be called off
	stopUploads context.CancelFunc
}

// New returns a pipeline over the given API, store, callers' inputs (nil: none may be read) and Redis. The
// caller closes rdb.
func New(api *magichour.Client, store storage.Store, inputs *storage.Inputs, rdb redis.UniversalClient, log *slog.Logger, set Settings) *Pipeline {
	stopping, stopUploads := context.WithCancel(context.Background())
	return &Pipeline{
		api:       api,
		store:     store,
		inputs:    inputs,
		records:   records.New(rdb),
		holds:     NewHolds(rdb),
		paces:     paces{trade: set.PollDelay},
		queue:     asynq.NewClientFromRedisClient(rdb),
		inspector: asynq.NewInspectorFromRedisClient(rdb),
		log:       log,
		observer:  nobody{},
		callbacks: callback.New(func() (string, error) { return "", callback.ErrNoSecret }, callback.Allow{}, "hourglass"),
		now:       time.Now,
		after:     time.After,
		retried: func(ctx context.Context) int {
			n, _ := asynq.GetRetryCount(ctx)
			return n
		},
		set:      set,
		uploads:  make(chan struct{}, 1),
		stopping: stopping, stopUploads: stopUploads,
	}
}

// Holds returns what holds the stages of the fleet.
func (p *Pipeline) Holds() *Holds { return p.holds }

// Jobs counts the jobs of the fleet by state, as the index has them.
func (p *Pipeline) Jobs(ctx context.Context) (map[tasks.State]int64, error) {
	counts := map[tasks.State]int64{}
	for _, state := range tasks.States() {
		n, err := p.records.Count(ctx, string(state))
		if err != nil {
			return nil, err
		}
		counts[state] = n
	}
	return counts, nil
}

// stageOf says which stage moves a job on from a state; none for one that has ended or is parked.
func stageOf(s tasks.State) tasks.Stage {
	switch s {
	case tasks.Pending, tasks.Creating:
		return tasks.StageCreate
	case tasks.Rendering:
		return tasks.StagePoll
	case tasks.Storing:
		return tasks.StageDownload
	case tasks.Cleaning:
		return tasks.StageCleanup
	}
	return ""
}
