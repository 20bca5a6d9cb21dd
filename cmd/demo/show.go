package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
)

// show lets the samples run and prints what they do and what became of them. Its error says which
// of them did not end as it should.
func show(ctx context.Context, c config, samples []sample, stdout, stderr io.Writer) error {
	s, err := buildScene(ctx, c, stderr)
	if err != nil {
		return err
	}
	defer s.end()
	welcome(stdout, c, s, len(samples))
	ids, err := submit(ctx, s.client, samples)
	if err != nil {
		return err
	}
	w := newWatcher(s.client, stdout)
	jobs, err := w.untilSettled(ctx, ids)
	if err != nil {
		return err
	}
	report(stdout, jobs, c.dir, s.api.Totals())
	verdict := judge(samples, jobs)
	if !c.keep {
		farewell(stdout, c)
		return verdict
	}
	invite(stdout, c, s, verdict)
	if err := w.untilDone(ctx); err != nil {
		return err
	}
	return verdict
}

func welcome(w io.Writer, c config, s *scene, jobs int) {
	d := s.dashboard
	_, _ = fmt.Fprintf(w, `%d jobs, one of them meant to fail, on a fake Magic Hour API that renders %.3g times faster than the
real one. Every job goes through four stages, each of which is a queue of tasks: create, poll, download, cleanup.

`, jobs, 1/c.timeScale)
	if d.moved != "" {
		_, _ = fmt.Fprintf(w, "%s is taken, so the dashboard is at %s\n", d.moved, d.url)
	} else {
		_, _ = fmt.Fprintf(w, "The dashboard, for as long as this runs: %s\n", d.url)
	}
	_, _ = fmt.Fprintf(w, "The jobs and their files, as a caller sees them: %s\n\n", s.front)
}

func farewell(w io.Writer, c config) {
	_, _ = fmt.Fprintf(w, "The files are in %s. The dashboard ends here; it stays with: go run ./cmd/demo --keep\n", folder(c))
}

// invite says what can be done with a demo that goes on.
func invite(w io.Writer, c config, s *scene, verdict error) {
	if verdict != nil {
		_, _ = fmt.Fprintf(w, "\n%v\n", verdict) // it is the exit code only at the end
	}
	_, _ = fmt.Fprintf(w, `The files are in %s.

Still running, until Ctrl-C. See the queues in a browser:

    %s

Enter another job from a second terminal, in this folder; its steps are shown here:

    REDIS_URL=redis://%s/0 go run ./cmd/enqueue submit ai-image-generator --set image_count=1 --set style.prompt="a tin robot" --wait

or from anywhere on this machine:

    curl -H 'Content-Type: application/json' %s/v1/jobs -d '{"id":"order_1","operation":"ai-image-generator","body":{"image_count":1,"style":{"prompt":"a tin robot"}}}'

`, folder(c), s.dashboard.url, s.redis.Addr(), s.front)
}

// folder is where the files are, in full if that can be told.
func folder(c config) string {
	if path, err := filepath.Abs(c.dir); err == nil {
		return path
	}
	return c.dir
}
