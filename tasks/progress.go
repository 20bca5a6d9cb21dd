package tasks

import "time"

// Progress is how far a job is at a time, from 0 to 100. Of a render it is an estimate by its age and its ETA, which is
// why it never says that one is over. Whatever is not on the road stands at 0, but for a job that is done.
func (j *Job) Progress(now time.Time) int {
	const created, rendered, stored, atMost = 5, 85, 95, 83
	switch j.State {
	case Rendering:
		if j.ETA == nil || j.ProjectAt == nil || !j.ETA.After(*j.ProjectAt) {
			return created
		}
		part := float64(now.Sub(*j.ProjectAt)) / float64(j.ETA.Sub(*j.ProjectAt))
		return max(created, min(created+int(part*(rendered-created)), atMost))
	case Storing:
		return rendered
	case Cleaning:
		return stored
	case Done:
		return 100
	case Pending, Creating, Unknown, Failed, Canceled:
	}
	return 0
}
