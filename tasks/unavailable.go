package tasks

import (
	"context"
	"encoding/json"
	"errors"
)

// ErrUnavailable says that Redis could not be reached, or refused. What was asked for may have been done or not. It may
// be asked for again: Submit with the id of the job that it returned, all else as it was.
var ErrUnavailable = errors.New("redis does not answer")

// An unavailable is an error of Redis, in its own words.
type unavailable struct{ error }

func (unavailable) Is(target error) bool { return target == ErrUnavailable }
func (u unavailable) Unwrap() error      { return u.error }

// ofRedis makes an error ErrUnavailable unless it says what else is wrong. By exclusion, since Asynq hides what some of
// its errors come from.
func ofRedis(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err // the caller's own
	}
	for _, known := range []error{
		nil, ErrInvalid, ErrExists, ErrNotFound, ErrState, ErrTaken, ErrVersion, ErrPayload, ErrUnavailable,
	} {
		if errors.Is(err, known) {
			return err
		}
	}
	var syntax *json.SyntaxError
	var form *json.UnmarshalTypeError
	if errors.As(err, &syntax) || errors.As(err, &form) {
		return err // a record that is broken
	}
	return unavailable{err}
}

// markRedis is ofRedis for what a method returns.
func markRedis(ctx context.Context, err *error) { *err = ofRedis(ctx, *err) }
