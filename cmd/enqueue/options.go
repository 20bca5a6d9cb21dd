package main

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/seed-290c2414/hourglass/internal/settings"
	"github.com/seed-290c2414/hourglass/tasks"
)

// optionFlags are the caller's wishes that are not part of the API's request.
func optionFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "overwrite", Usage: "replace objects that stand where the job's files belong"},
		&cli.StringFlag{Name: "priority", Usage: "high, normal or low: who is created first where jobs wait for HOURGLASS_MAX_RENDERS of the workers"},
		&cli.StringFlag{Name: "tenant", Usage: "on whose behalf, a `NAME`: tenants take turns where jobs wait for HOURGLASS_MAX_RENDERS"},
		&cli.DurationFlag{Name: "give-up", Usage: "the `AGE` at which the job fails if it is unfinished, instead of the workers' HOURGLASS_GIVE_UP"},
		&cli.StringFlag{Name: "key-prefix", Usage: "the `FOLDER` in which the job's own is made: FOLDER/ID/1.mp4"},
		&cli.StringSliceFlag{Name: "meta", Usage: "a note of your own, `NAME=VALUE`, that stands in status, notices and manifest"},
		&cli.BoolFlag{Name: "keep-remote", Usage: "leave the project at Magic Hour once its files are stored"},
		&cli.StringFlag{Name: "notify-url", Usage: "POST a signed notice to this `URL` when the files are stored, or the job failed, was canceled or is unknown"},
		&cli.StringFlag{Name: "notify-task", Usage: "enqueue an Asynq task then: `QUEUE/TYPE`"},
		&cli.StringFlag{Name: "notify-stream", Usage: "add an entry to the Redis stream of this `KEY` then"},
	}
}

// optionsOf reads optionFlags. What they may hold is for tasks to say.
func optionsOf(c *cli.Command) (tasks.Options, error) {
	o := tasks.Options{
		Overwrite: c.Bool("overwrite"), Priority: tasks.Priority(c.String("priority")), Tenant: c.String("tenant"), GiveUp: tasks.Duration(c.Duration("give-up")),
		KeyPrefix: c.String("key-prefix"), KeepRemote: c.Bool("keep-remote"),
		Notify: tasks.Notify{URL: c.String("notify-url"), Stream: c.String("notify-stream")},
	}
	for _, pair := range c.StringSlice("meta") {
		name, value, found := strings.Cut(pair, "=")
		if !found || name == "" {
			return o, settings.Usage("--meta %q: want NAME=VALUE, such as order=4711", pair)
		}
		if o.Metadata == nil {
			o.Metadata = map[string]string{}
		}
		o.Metadata[name] = value
	}
	if text := c.String("notify-task"); text != "" {
		queue, kind, found := strings.Cut(text, "/")
		if !found {
			return o, settings.Usage("--notify-task %q: want QUEUE/TYPE, such as media/ready", text)
		}
		o.Notify.Task = &tasks.NotifyTask{Queue: queue, Type: kind}
	}
	return o, nil
}

// readOptions reads the options of a line; text is nil if there are none.
func readOptions(text json.RawMessage, o *tasks.Options) error {
	if text == nil {
		return nil
	}
	var fields, notify, task map[string]json.RawMessage
	const at = "options."
	top := map[string]json.RawMessage{"options": text}
	if err := read(top, "", "options", &fields); err != nil {
		return err
	}
	err := errors.Join(
		read(fields, at, "overwrite", &o.Overwrite), read(fields, at, "priority", &o.Priority), read(fields, at, "tenant", &o.Tenant),
		read(fields, at, "give_up", &o.GiveUp), read(fields, at, "key_prefix", &o.KeyPrefix), read(fields, at, "keep_remote", &o.KeepRemote),
		read(fields, at, "metadata", &o.Metadata), read(fields, at, "notify", &notify),
		read(notify, at+"notify.", "url", &o.Notify.URL), read(notify, at+"notify.", "stream", &o.Notify.Stream),
		read(notify, at+"notify.", "task", &task), unknown(notify, at+"notify.", "url", "task", "stream"),
		unknown(fields, at, "overwrite", "priority", "tenant", "give_up", "key_prefix", "metadata", "keep_remote", "notify"),
	)
	if task != nil {
		o.Notify.Task = &tasks.NotifyTask{}
		err = errors.Join(err, read(task, at+"notify.task.", "queue", &o.Notify.Task.Queue),
			read(task, at+"notify.task.", "type", &o.Notify.Task.Type), unknown(task, at+"notify.task.", "queue", "type"))
	}
	return err
}
