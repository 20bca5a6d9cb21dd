package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// asynqLog passes what Asynq has to say to the log of the worker. The same words come once a
// minute at most: without Redis it would say them several times a second.
type asynqLog struct {
	log *slog.Logger
	now func() time.Time

	mu   sync.Mutex
	said map[string]time.Time
}

const (
	sayAgainAfter = time.Minute
	rememberWords = 100
)

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
	if l.isNew(text) {
		l.log.Log(context.Background(), level, "asynq: "+text)
	}
}

func (l *asynqLog) isNew(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if at, found := l.said[text]; found && now.Sub(at) < sayAgainAfter {
		return false
	}
	if l.said == nil || len(l.said) >= rememberWords {
		l.said = map[string]time.Time{}
	}
	l.said[text] = now
	return true
}
