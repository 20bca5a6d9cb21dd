package tasks

import (
	"slices"
	"testing"
	"time"
)

// TestAnnounce: which turns in a job's life are told, and to whom.
func TestAnnounce(t *testing.T) {
	t.Parallel()
	at, later := time.Unix(1, 0), time.Unix(2, 0)
	job := func(s State, stored *time.Time) *Job {
		return &Job{Status: Status{ID: "j", State: s, StoredAt: stored}}
	}
	tests := []struct {
		name          string
		before, after *Job
		want          []NoticeType
		unsent        int
	}{
		{"on the road", job(Pending, nil), job(Creating, nil), nil, 0},
		{"stored", job(Storing, nil), job(Cleaning, &at), []NoticeType{NoticeStored}, 1},
		{"stored anew", job(Cleaning, &at), job(Cleaning, &later), []NoticeType{NoticeStored}, 1},
		{"to be copied again", job(Cleaning, &at), job(Storing, nil), nil, 0},
		{"done", job(Cleaning, &at), job(Done, &at), []NoticeType{NoticeDone}, 0},
		{"stored and done at once", job(Storing, nil), job(Done, &at), []NoticeType{NoticeStored, NoticeDone}, 1},
		{"failed", job(Rendering, nil), job(Failed, nil), []NoticeType{NoticeFailed}, 1},
		{"canceled", job(Pending, nil), job(Canceled, nil), []NoticeType{NoticeCanceled}, 1},
		{"unknown", job(Creating, nil), job(Unknown, nil), []NoticeType{NoticeUnknown}, 1},
		{"put back", job(Failed, nil), job(Rendering, nil), nil, 0},
		{"deleted a day late", job(Done, &at), job(Cleaning, &at), nil, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.after.Options.Notify = Notify{URL: "https://example.com", Stream: "mine"}
			var got []NoticeType
			for _, n := range tt.after.Announce(tt.before) {
				got = append(got, n.Type)
			}
			if !slices.Equal(got, tt.want) || len(tt.after.Unsent) != tt.unsent {
				t.Errorf("got %v with %d to be told, want %v with %d", got, len(tt.after.Unsent), tt.want, tt.unsent)
			}
		})
	}
}

func TestTold(t *testing.T) {
	t.Parallel()
	job := &Job{Status: Status{State: Failed}, Options: Options{Notify: Notify{URL: "https://example.com", Stream: "mine"}}}
	id := job.Announce(&Job{})[0].ID
	before := job.Clone()
	if job.Told("another", WayURL) || job.Told(id, WayTask) || !job.Told(id, WayURL) || job.Told(id, WayURL) {
		t.Error("a way is taken off once, and only where it is")
	}
	if len(before.Unsent[0].To) != 2 {
		t.Error("a clone has changed with the job")
	}
	if !job.Told(id, WayStream) || len(job.Unsent) != 0 {
		t.Errorf("still to be told: %v", job.Unsent)
	}
}
