package main

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/seed-290c2414/hourglass/tasks"
)

func TestPassed(t *testing.T) {
	t.Parallel()
	at := func(s tasks.State, polls int) *tasks.Job {
		return &tasks.Job{Status: tasks.Status{State: s, Polls: polls}}
	}
	tests := []struct {
		name        string
		before, job *tasks.Job
		want        []tasks.State
	}{
		{"first seen", nil, at(tasks.Pending, 0), []tasks.State{tasks.Pending}},
		{"first seen in its create", nil, at(tasks.Creating, 0), []tasks.State{tasks.Pending}},
		{"in its create", at(tasks.Pending, 0), at(tasks.Creating, 0), nil},
		{"created", at(tasks.Creating, 0), at(tasks.Rendering, 1), []tasks.State{tasks.Rendering}},
		{"nothing new", at(tasks.Rendering, 1), at(tasks.Rendering, 1), nil},
		{"polled", at(tasks.Rendering, 1), at(tasks.Rendering, 2), []tasks.State{tasks.Rendering}},
		{"one after the other", at(tasks.Storing, 2), at(tasks.Cleaning, 2), []tasks.State{tasks.Cleaning}},
		{"faster than the watcher", at(tasks.Rendering, 2), at(tasks.Done, 2), []tasks.State{tasks.Storing, tasks.Cleaning, tasks.Done}},
		{"copied again", at(tasks.Cleaning, 2), at(tasks.Storing, 2), []tasks.State{tasks.Storing}},
		{"failed", at(tasks.Rendering, 2), at(tasks.Failed, 2), []tasks.State{tasks.Failed}},
		{"failed before it was seen", nil, at(tasks.Failed, 2), []tasks.State{tasks.Failed}},
		{"still failed", at(tasks.Failed, 2), at(tasks.Failed, 2), nil},
		{"parked", at(tasks.Creating, 0), at(tasks.Unknown, 0), []tasks.State{tasks.Unknown}},
		{"no longer parked", at(tasks.Unknown, 0), at(tasks.Rendering, 1), []tasks.State{tasks.Rendering}},
		{"parked and then failed", at(tasks.Unknown, 0), at(tasks.Failed, 0), []tasks.State{tasks.Failed}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, passed(tt.before, tt.job)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestClockLetsKeysExpire(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := miniredis.NewMiniRedis()
		if err := server.Set("key", "value"); err != nil {
			t.Fatal(err)
		}
		server.SetTTL("key", 10*time.Second)
		end := background(t.Context(), func(ctx context.Context) { runClock(ctx, server) })
		defer end()
		<-time.After(9500 * time.Millisecond)
		if !server.Exists("key") {
			t.Error("the key expired too early")
		}
		<-time.After(time.Second)
		if server.Exists("key") {
			t.Error("the key is still there")
		}
	})
}
