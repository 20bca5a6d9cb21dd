package pipeline

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/seed-290c2414/hourglass/tasks"
)

// Asynq's intervals. With its own defaults an idle chain of four stages takes 3.5 s and a poll
// starts up to 5 s late; with these 0.75 s and 0.4 s, for 0.3 % of a core of Redis per server.
const (
	checkEvery        = 200 * time.Millisecond
	checkDelayedEvery = 250 * time.Millisecond
)

// Servers are the Asynq servers of one worker: one for each stage, because a server takes its
// tasks one after the other, and so that one stage can't starve another.
type Servers struct {
	servers []*asynq.Server
	drain   time.Duration
	callOff func()       // uploads of inputs
	running sync.RWMutex // read-locked by every handler that runs
}

// Serve starts handling the tasks of the given stages, with so many handlers each. It returns at
// once; Redis need not be there yet.
func (p *Pipeline) Serve(rdb redis.UniversalClient, handlers map[tasks.Stage]int, drain time.Duration) (*Servers, error) {
	s := &Servers{drain: drain, callOff: p.stopUploads}
	p.uploads = make(chan struct{}, max(handlers[tasks.StageCreate]/2, 1))
	p.hosts.most = max(handlers[tasks.StageNotify]/4, 1)
	for stage, n := range handlers {
		server := asynq.NewServerFromRedisClient(rdb, asynq.Config{
			Concurrency:              n,
			Queues:                   map[string]int{stage.Queue(): 1},
			TaskCheckInterval:        checkEvery,
			DelayedTaskCheckInterval: checkDelayedEvery,
			ShutdownTimeout:          drainOf(stage, drain),
			IsFailure:                costsAttempt,
			RetryDelayFunc:           retryDelay,
			Logger:                   &asynqLog{log: p.log.With("queue", stage.Queue()), now: p.now},
			LogLevel:                 asynq.WarnLevel,
		})
		if err := server.Start(s.counted(p.Handle)); err != nil {
			s.Shutdown()
			return nil, fmt.Errorf("start the server of %s: %w", stage.Queue(), err)
		}
		s.servers = append(s.servers, server)
	}
	return s, nil
}

// purchaseDrain is the time that a purchase gets to end: a call to the API, and about as long for a
// Redis that fails over to take its answer. Without it every deployment would leave jobs of which
// nobody knows whether they were charged.
const purchaseDrain = 3 * time.Minute

func drainOf(stage tasks.Stage, drain time.Duration) time.Duration {
	if stage == tasks.StageCreate {
		return max(drain, purchaseDrain)
	}
	return max(drain, time.Millisecond) // 0 would be Asynq's own default
}

// counted lets Shutdown see when the last handler has returned.
func (s *Servers) counted(handle asynq.HandlerFunc) asynq.HandlerFunc {
	return func(ctx context.Context, task *asynq.Task) error {
		s.running.RLock()
		defer s.running.RUnlock()
		return handle(ctx, task)
	}
}

// Shutdown stops taking tasks, gives the running ones the drain time, hands back to the queue what
// is still running then, and waits until that has ended. A create gets longer, but only to buy: an upload of
// its inputs is called off like a download.
func (s *Servers) Shutdown() {
	for _, server := range s.servers {
		server.Stop()
	}
	defer time.AfterFunc(s.drain, s.callOff).Stop()
	var wg sync.WaitGroup
	for _, server := range s.servers {
		wg.Go(server.Shutdown)
	}
	wg.Wait()
	s.await()
}

// tidyWithin is what a handler gets that was called off: the store takes up to 10 s to abort an
// upload.
const tidyWithin = 15 * time.Second

// await waits for handlers that were called off. Asynq does not: the process would end while they
// tidy up, and an upload that is cut short would stay in the bucket, invisible and charged for.
func (s *Servers) await() {
	ended := make(chan struct{})
	go func() {
		s.running.Lock()
		close(ended)
		s.running.Unlock()
	}()
	select {
	case <-ended:
	case <-time.After(tidyWithin):
	}
}
