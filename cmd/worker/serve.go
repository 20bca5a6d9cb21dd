package main

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/redis/go-redis/v9"

	"github.com/seed-290c2414/hourglass/internal/callback"
	"github.com/seed-290c2414/hourglass/internal/magichour"
	"github.com/seed-290c2414/hourglass/internal/metrics"
	"github.com/seed-290c2414/hourglass/internal/pipeline"
	"github.com/seed-290c2414/hourglass/internal/records"
	"github.com/seed-290c2414/hourglass/internal/settings"
	"github.com/seed-290c2414/hourglass/internal/storage"
	"github.com/seed-290c2414/hourglass/internal/tracing"
)

// serve puts a worker together and runs it until ctx ends.
func serve(ctx context.Context, c config, log *slog.Logger) error {
	traces, err := tracing.Open(ctx, "hourglass-worker", settings.Version(), log)
	if err != nil {
		return settings.Usage("%w", err)
	}
	defer traces.Close(ctx)
	m := metrics.New()
	api, store, rdb, err := connect(ctx, c, m)
	if err != nil {
		return err
	}
	defer func() { _ = rdb.Close() }()
	inputs, err := openInputs(ctx, c)
	if err != nil {
		return err
	}
	front, err := listen(ctx, c, log)
	if err != nil {
		return err
	}
	defer front.close()
	calls := callback.New(callbackSecrets, c.callbackAllow, "hourglass/"+settings.Version())
	defer calls.Close()
	p := pipeline.New(api, store, inputs, rdb, log, c.pipeline)
	p.TraceBy(traces.Tracer())
	p.ObserveBy(m)
	p.CallBy(calls)
	health := newHealth(rdb, store, api)
	m.Fleet(p, rdb, health.well, log)
	health.routes(front.admin)
	front.admin.Handle("GET /metrics", m.Handler())
	if c.webhookSecrets != nil {
		front.webhooks.Handle("POST "+webhookPath, p.Webhook(c.webhookSecrets, c.webhookTolerance))
	}
	return work(ctx, c, p, rdb, health, front, log)
}

// work takes tasks until ctx ends or an address can't be served any more, then drains them.
func work(ctx context.Context, c config, p *pipeline.Pipeline, rdb redis.UniversalClient, health *health, front *front, log *slog.Logger) error {
	failed := front.serve()
	servers, err := p.Serve(rdb, c.handlers, c.drain)
	if err != nil {
		return err
	}
	sweeping, stopSweeping := context.WithCancel(ctx)
	swept := make(chan struct{})
	go func() { p.SweepEvery(sweeping); close(swept) }()
	tried := make(chan struct{})
	go func() { health.logStore(sweeping, log); close(tried) }()
	log.Info("worker started", "addr", front.addr, "webhook_addr", front.webhookAddr, "storage", c.storageURL, "stages", slices.Sorted(maps.Keys(c.handlers)), "webhooks", c.webhookSecrets != nil)

	select {
	case err = <-failed:
	case <-ctx.Done():
		err = nil
	}
	log.Info("draining", "for", c.drain.String())
	health.draining.Store(true)
	stopSweeping()
	servers.Shutdown()
	<-swept
	<-tried
	log.Info("worker stopped")
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// connect makes the clients of everything outside. It speaks to none of them yet: a worker whose
// Redis is not there stays up and says so on /readyz.
func connect(ctx context.Context, c config, m *metrics.Metrics) (*magichour.Client, storage.Store, redis.UniversalClient, error) {
	if _, err := settings.Secret("MAGIC_HOUR_API_KEY"); err != nil {
		return nil, nil, nil, err
	}
	api, err := magichour.New(c.baseURL, func() (string, error) { return settings.Secret("MAGIC_HOUR_API_KEY") }, m.API(c.baseURL), tracing.API(c.baseURL))
	if err != nil {
		return nil, nil, nil, settings.Usage("%s: %w", varBaseURL, err)
	}
	store, err := storage.Open(ctx, c.storageURL, storage.Options{PathStyle: c.pathStyle, AWS: append(awsFiles(), tracing.S3()), CopyMemory: c.copyMemory})
	if err != nil {
		return nil, nil, nil, settings.Usage("%s: %w", varStorageURL, err)
	}
	rdb, err := records.Connect(c.redisURL)
	if err != nil {
		return nil, nil, nil, settings.Usage("REDIS_URL: %w", err)
	}
	return api, store, rdb, nil
}

// openInputs returns the reader of callers' inputs; nil if there is no bucket to read any from.
func openInputs(ctx context.Context, c config) (*storage.Inputs, error) {
	if len(c.inputBuckets) == 0 {
		return nil, nil //nolint:nilnil // a nil reader reads nothing
	}
	inputs, err := storage.OpenInputs(ctx, c.inputBuckets, storage.Options{PathStyle: c.pathStyle, AWS: append(awsFiles(), tracing.S3())})
	if err != nil {
		return nil, settings.Usage("%s: %w; want names of buckets such as uploads,archive", varInputBuckets, err)
	}
	return inputs, nil
}

// awsFiles reads the keys of the store from files, where the variables name any: the AWS SDK
// itself knows no such variables.
func awsFiles() []storage.AWSOption {
	if os.Getenv("AWS_SECRET_ACCESS_KEY_FILE") == "" {
		return nil
	}
	return []storage.AWSOption{awsconfig.WithCredentialsProvider(aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		id, err := settings.Secret("AWS_ACCESS_KEY_ID")
		if err != nil {
			return aws.Credentials{}, err
		}
		secret, err := settings.Secret("AWS_SECRET_ACCESS_KEY")
		if err != nil {
			return aws.Credentials{}, err
		}
		token, _ := settings.Secret("AWS_SESSION_TOKEN") // optional
		return aws.Credentials{AccessKeyID: id, SecretAccessKey: secret, SessionToken: token, Source: "files", CanExpire: true, Expires: time.Now().Add(time.Minute)}, nil
	}))}
}
