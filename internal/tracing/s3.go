package tracing

import (
	"context"
	"errors"
	"net/http"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// S3 is an option of the AWS SDK that makes a span of each call, its repetitions included: of its operation, and of no
// bucket, key or URL. That of a read ends when the object begins to come.
func S3() func(*config.LoadOptions) error {
	return config.WithAPIOptions([]func(*middleware.Stack) error{func(stack *middleware.Stack) error {
		return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("HourglassTrace", traceCall), middleware.Before)
	}})
}

func traceCall(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return next.HandleInitialize(ctx, in)
	}
	operation := awsmiddleware.GetOperationName(ctx)
	ctx, span := parent.TracerProvider().Tracer(Scope).Start(ctx, "S3/"+operation, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		attribute.String("rpc.system", "aws-api"), attribute.String("rpc.service", "S3"), attribute.String("rpc.method", operation)))
	defer span.End()
	out, meta, err := next.HandleInitialize(ctx, in)
	if err != nil {
		var answer *smithyhttp.ResponseError
		if errors.As(err, &answer) {
			span.SetAttributes(attribute.Int("http.response.status_code", answer.HTTPStatusCode()))
			if answer.HTTPStatusCode() != http.StatusNotFound { // mostly what is hoped for: nothing in the way of a copy
				span.SetStatus(codes.Error, "")
			}
		} else {
			lost(span, err)
		}
	}
	return out, meta, err
}
