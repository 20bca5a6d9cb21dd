package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"time"
)

// asynqLog passes what Asynq has to say to the log of the worker. The same words come once a
// minute at most: without Redis it would say them several times a second, and of every task.
type asynqLog struct {
	log  *slog.Logger
	now  func() time.Time
	said seldom
}

// Debug is for Asynq.
func (l *asynqLog) Debug(a ...any) { l.write(slog.LevelDebug, a) }

// Info is for Asynq; what it has to say at this level is of no use to an operator.
func (l *asynqLog) Info(a ...any) { l.write(slog.LevelDebug, a) }

// Warn is for Asynq.
func (l *asynqLog) Warn(a ...any) { l.write(slog.LevelWarn, a) }

// Error is for Asynq.
func (l *asynqLog) Error(a ...any) { l.write(slog.LevelError, a) }

// Fatal is for Asynq, which ends nothing by it.
func (l *asynqLog) Fatal(a ...any) { l.write(slog.LevelError, a) }

func (l *asynqLog) write(level slog.Level, a []any) {
	text := fmt.Sprint(a...)
	if strings.HasPrefix(text, "Retry exhausted") {
		// Asynq says so of every task that is archived, whatever for. The job has its own line.
		level = slog.LevelDebug
	}
	if held, pass := l.said.pass(whose.ReplaceAllString(text, "…"), l.now()); pass {
		l.log.Log(context.Background(), level, "asynq: "+text, notShown(held)...)
	}
}

// whose finds what differs in words that are else the same: task ids, ports and moments.
var whose = regexp.MustCompile(`id=\S+|\[[^\]]*\]|for \S+;|0x[0-9a-f]+|[0-9]+`)

// notShown says of a line for how many it stands.
func notShown(held int) []any {
	if held == 0 {
		return nil
	}
	return []any{"not_shown", held}
}
