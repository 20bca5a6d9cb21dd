package page

import (
	"fmt"
	"strings"
	"time"

	"github.com/seed-290c2414/hourglass/tasks"
)

// class is the look of a state.
func class(s tasks.State) string {
	switch s {
	case tasks.Done:
		return "good"
	case tasks.Failed:
		return "bad"
	case tasks.Unknown:
		return "odd"
	case tasks.Canceled:
		return "gray"
	case tasks.Pending, tasks.Creating, tasks.Rendering, tasks.Storing, tasks.Cleaning:
	}
	return "live"
}

// ago is how long something is past.
func ago(at time.Time) string {
	d := time.Since(at)
	switch {
	case d < time.Second:
		return "now"
	case d < time.Minute:
		return fmt.Sprintf("%d s ago", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	}
	return fmt.Sprintf("%d days ago", int(d.Hours())/24)
}

// left is how long a render is expected to take still; "" if nobody knows.
func left(j *tasks.Job) string {
	if j.ETA == nil || j.State != tasks.Rendering {
		return ""
	}
	d := time.Until(*j.ETA)
	switch {
	case d <= 0:
		return "ready at any moment"
	case d < time.Minute:
		return fmt.Sprintf("about %d s left", int(d.Seconds())+1)
	}
	return "about " + strings.TrimSuffix(d.Round(time.Minute).String(), "0s") + " left"
}

// size is a number of bytes as people read it.
func size(bytes int64) string {
	const kilo = 1000
	switch {
	case bytes < kilo:
		return fmt.Sprintf("%d B", bytes)
	case bytes < kilo*kilo:
		return fmt.Sprintf("%.1f kB", float64(bytes)/kilo)
	case bytes < kilo*kilo*kilo:
		return fmt.Sprintf("%.1f MB", float64(bytes)/kilo/kilo)
	}
	return fmt.Sprintf("%.1f GB", float64(bytes)/kilo/kilo/kilo)
}
