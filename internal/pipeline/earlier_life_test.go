package pipeline

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/seed-290c2414/hourglass/internal/magichour/magichourtest"
	"github.com/seed-290c2414/hourglass/tasks"
)

// TestTaskOfAnEarlierLife: Asynq keeps an archived task for months, and a finished one for as long as its
// caller wants. When its job is forgotten and the id is used again, it must not keep the new job waiting for the
// sweeper.
func TestTaskOfAnEarlierLife(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*world, *asynq.TaskInfo){
		"completed": func(w *world, info *asynq.TaskInfo) {
			w.recovery.retained = true
			if err := w.complete(info); err != nil {
				t.Fatal(err)
			}
		},
		"archived": func(w *world, info *asynq.TaskInfo) {
			if err := w.inspector.ArchiveTask(info.Queue, info.ID); err != nil {
				t.Fatal(err)
			}
			w.failedWith(info, noon.Add(-month), "it broke")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, magichourtest.Options{})
			w.submit(images())
			w.untilStage(tasks.StagePoll)
			old := w.job("images").Clone()
			old.State = tasks.Storing
			task, err := tasks.NewTask(old.Next())
			if err != nil {
				t.Fatal(err)
			}
			info, err := w.queue.Enqueue(task, asynq.Retention(month))
			if err != nil {
				t.Fatal(err)
			}
			end(w, info)
			w.forward(time.Minute)
			if err := w.step(w.waiting()[0]); err != nil {
				t.Fatal(err)
			}
			if infos := w.waiting(); len(infos) != 1 || infos[0].ID != "images:download~2" {
				t.Fatalf("the job is %s in epoch %d, and %v waits; want its download in the next epoch", w.job("images").State, w.job("images").Epoch, infos)
			}
			w.run()
			w.checkDone("images")
		})
	}
}

// failedWith writes into a task why and when it has failed, as a server of Asynq does: fields 7 and 11 of its
// message. The inspector, which archives for the tests, does not.
func (w *world) failedWith(info *asynq.TaskInfo, at time.Time, why string) {
	w.t.Helper()
	key := "asynq:{" + info.Queue + "}:t:" + info.ID
	msg, err := w.plain.HGet(w.t.Context(), key, "msg").Bytes()
	if err != nil {
		w.t.Fatal(err)
	}
	msg = binary.AppendUvarint(append(msg, 7<<3|2), uint64(len(why)))
	msg = append(append(msg, why...), 11<<3)
	msg = binary.AppendUvarint(msg, uint64(at.Unix()))
	if err := w.plain.HSet(w.t.Context(), key, "msg", msg).Err(); err != nil {
		w.t.Fatal(err)
	}
	if got, err := w.inspector.GetTaskInfo(info.Queue, info.ID); err != nil || !got.LastFailedAt.Equal(at) || got.LastErr != why {
		w.t.Fatalf("got %+v, %v; Asynq writes it elsewhere now", got, err)
	}
}
