package main

import (
	"fmt"
	"io"
	"path/filepath"
	"text/tabwriter"

	"github.com/seed-290c2414/hourglass/internal/magichour/magichourtest"
	"github.com/seed-290c2414/hourglass/tasks"
)

// report prints what became of the jobs, and where their files are.
func report(w io.Writer, jobs []*tasks.Job, dir string, api magichourtest.Totals) {
	_, _ = fmt.Fprintln(w)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "OPERATION\tSTATE\tREMOTE\tPOLLS\tCREDITS\tBYTES\tFILE")
	for _, job := range jobs {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d", job.Operation, job.State, remote(job), job.Polls, job.CreditsCharged)
		for i, o := range job.Outputs {
			if i > 0 {
				_, _ = fmt.Fprint(table, "\t\t\t\t")
			}
			_, _ = fmt.Fprintf(table, "\t%d\t%s\n", o.Size, filepath.Join(dir, filepath.FromSlash(o.Key)))
		}
		if len(job.Outputs) == 0 {
			_, _ = fmt.Fprintf(table, "\t\t%s\n", reason(job))
		}
	}
	_ = table.Flush()
	_, _ = fmt.Fprintf(w, "\nThe API saw %d creates, %d reads of projects, %d downloads and %d deletes. It charged %d credits and gave back %d.\n",
		api.Creates, api.Polls, api.Downloads, api.Deletes, api.Charged, api.Refunded)
}

// reason says why a job has no files, and what to do about it.
func reason(job *tasks.Job) string {
	if job.Error == nil {
		return ""
	}
	return job.Error.Code + ": " + job.Error.Hint
}
