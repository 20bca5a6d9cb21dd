package main

import (
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lmittmann/tint"
	"github.com/urfave/cli/v3"
	"golang.org/x/term"

	"github.com/seed-290c2414/hourglass/internal/callback"
	"github.com/seed-290c2414/hourglass/internal/magichour"
	"github.com/seed-290c2414/hourglass/internal/pace"
	"github.com/seed-290c2414/hourglass/internal/pipeline"
	"github.com/seed-290c2414/hourglass/internal/settings"
	"github.com/seed-290c2414/hourglass/internal/storage"
	"github.com/seed-290c2414/hourglass/internal/tracing"
	"github.com/seed-290c2414/hourglass/tasks"
)

const description = `Secrets come from the environment or from a file, never from a flag:

MAGIC_HOUR_API_KEY (or MAGIC_HOUR_API_KEY_FILE) is the API's key; required. The file is read
again at every call, so that the key can be rotated.
HOURGLASS_CALLBACK_SECRET (or HOURGLASS_CALLBACK_SECRET_FILE) signs the notices that jobs want posted to a URL: whsec_ and
base64 of 24 to 64 bytes, or several with commas while it is rotated. Without it those notices wait.
MAGIC_HOUR_WEBHOOK_SECRET (or MAGIC_HOUR_WEBHOOK_SECRET_FILE) is the secret of the webhook at Magic
Hour, or several with commas while it is rotated; without it nothing is served at /webhooks/magichour.
AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN (or each with _FILE), and all else
that the AWS SDK reads: AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL_S3, ...
OTEL_EXPORTER_OTLP_ENDPOINT is where OpenTelemetry traces go, over OTLP/HTTP; unset: there are none. The other
OTEL_* variables are heeded, too.`

// The variables of the settings. Each is a flag too, see settings.FlagName.
const (
	varBaseURL       = "MAGIC_HOUR_BASE_URL"
	varStorageURL    = "STORAGE_URL"
	varPathStyle     = "S3_PATH_STYLE"
	varInputBuckets  = "HOURGLASS_INPUT_BUCKETS"
	varHTTPAddr      = "HOURGLASS_HTTP_ADDR"
	varWebhookAddr   = "HOURGLASS_WEBHOOK_ADDR"
	varPprof         = "HOURGLASS_PPROF"
	varStages        = "HOURGLASS_STAGES"
	varPollInterval  = "HOURGLASS_POLL_INTERVAL"
	varPollDelay     = "HOURGLASS_POLL_DELAY"
	varDrain         = "HOURGLASS_DRAIN"
	varRecordTTL     = "HOURGLASS_RECORD_TTL"
	varTaskRetention = "HOURGLASS_TASK_RETENTION"
	varGiveUp        = "HOURGLASS_GIVE_UP"
	varCopyMemory    = "HOURGLASS_COPY_MEMORY"
	varAPIRate       = "HOURGLASS_API_RATE"
	varMaxRenders    = "HOURGLASS_MAX_RENDERS"
	varTolerance     = "HOURGLASS_WEBHOOK_TOLERANCE"
	varCallbackAllow = "HOURGLASS_CALLBACK_ALLOW"
	varLogFormat     = "HOURGLASS_LOG_FORMAT"
	varLogLevel      = "HOURGLASS_LOG_LEVEL"
)

func varConcurrency(s tasks.Stage) string {
	return "HOURGLASS_" + strings.ToUpper(string(s)) + "_CONCURRENCY"
}

// flags declares every setting once: variable, default, meaning, and what it takes. All but that of Redis
// are no business of the subcommands: Local.
func flags() []cli.Flag {
	return []cli.Flag{
		settings.RedisFlag(),
		text(varBaseURL, magichour.DefaultBaseURL, "base URL of the Magic Hour API, http(s)://host[/path]"),
		text(varStorageURL, "file://./media", "where the files go: s3://bucket/prefix or file:///dir; docs/storage.md says what may follow as a query"),
		&cli.BoolFlag{Name: settings.FlagName(varPathStyle), Usage: "bucket in the path, for S3-compatible servers", Local: true, Sources: settings.From(varPathStyle)},
		text(varInputBuckets, "", "buckets from which inputs given as s3://bucket/key may be read, separated by commas; by default none. Whoever may submit a job can send what is in them to Magic Hour: docs/inputs.md"),
		httpAddrFlag(),
		text(varWebhookAddr, "", "another address for /webhooks/magichour alone, so that the one of /metrics need not be where a proxy can reach it"),
		&cli.BoolFlag{Name: settings.FlagName(varPprof), Usage: "serve /debug/pprof/ also where HOURGLASS_HTTP_ADDR is no loopback address", Local: true, Sources: settings.From(varPprof)},
		text(varStages, "create,poll,download,cleanup,notify", "which stages this worker serves, separated by commas; notify tells callers of their jobs"),
		count(varConcurrency(tasks.StageCreate), 8, "handlers of the create stage"),
		count(varConcurrency(tasks.StagePoll), 64, "handlers of the poll stage"),
		count(varConcurrency(tasks.StageDownload), 8, "handlers of the download stage"),
		count(varConcurrency(tasks.StageCleanup), 16, "handlers of the cleanup stage"),
		count(varConcurrency(tasks.StageNotify), 16, "handlers that tell callers of their jobs; a quarter of them at most call one host"),
		text(varCallbackAllow, "", "networks and hosts to which notices may be posted though they are not public, separated by commas: 10.1.0.0/16,receiver.internal,localhost:8080"),
		duration(varPollInterval, 0, "fixed time between polls; 0: by how long the operation's renders take"),
		text(varPollDelay, "3%", "mean time between ready and noticed to accept for fewer polls: a percentage of the usual render time, which means at least 1.5s, or a duration"),
		duration(varDrain, 30*time.Second, "time that running tasks get on SIGTERM; only a purchase under way gets up to 3m"),
		duration(varRecordTTL, 168*time.Hour, "how long ended jobs stay readable, and their ids remembered"),
		duration(varTaskRetention, tasks.Retention, "how long finished tasks stay visible in Asynqmon; a create that a client enqueued: 24h"),
		duration(varGiveUp, 24*time.Hour, "age at which an unfinished job fails, counted from the purchase once there is one; --give-up of a job wins"),
		size(varCopyMemory, storage.DefaultCopyMemory, storage.LeastCopyMemory, "memory that all copies to S3 together may use; more of them wait their turn"),
		rate(varAPIRate, "how many calls a second to the API the whole fleet may make, of which half are kept for polls, 20 % for creates and 30 % for what is left to do after the render. 0: any number"),
		limit(varMaxRenders, "how many projects may render at once over the whole fleet; other jobs wait their turn. 0: any number"),
		duration(varTolerance, 5*time.Minute, "accepted age of a webhook's timestamp"),
		text(varLogFormat, "", "json or text; by default text on a terminal, else json"),
		text(varLogLevel, "info", "debug, info, warn or error"),
	}
}

// httpAddrFlag is a setting of healthcheck, too.
func httpAddrFlag() cli.Flag {
	return text(varHTTPAddr, "127.0.0.1:8420", "address of /livez, /readyz, /metrics and /debug/pprof/; port 0 takes a free one and logs it")
}

func text(variable, value, usage string) cli.Flag {
	return &cli.StringFlag{Name: settings.FlagName(variable), Value: value, Usage: usage, Local: true, Sources: settings.From(variable)}
}

func count(variable string, value int, usage string) cli.Flag {
	return &cli.IntFlag{Name: settings.FlagName(variable), Value: value, Usage: usage, Local: true, Sources: settings.From(variable), Validator: func(n int) error {
		if n < 1 {
			return settings.Usage("%s: must be at least 1, not %d", variable, n)
		}
		return nil
	}}
}

// limit is a number of something that there may be; 0 is any number.
func limit(variable, usage string) cli.Flag {
	return &cli.IntFlag{Name: settings.FlagName(variable), Usage: usage, Local: true, Sources: settings.From(variable), Validator: func(n int) error {
		if n < 0 {
			return settings.Usage("%s: must not be negative: %d", variable, n)
		}
		return nil
	}}
}

func rate(variable, usage string) cli.Flag {
	return &cli.FloatFlag{Name: settings.FlagName(variable), Usage: usage, Local: true, Sources: settings.From(variable), Validator: func(a float64) error {
		if !(a == 0 || a >= 0.1 && a <= 100_000) {
			return settings.Usage("%s: want 0, or 0.1 to 100000 calls a second, not %g", variable, a)
		}
		return nil
	}}
}

// size is a number of bytes as people write it.
func size(variable string, value, least int64, usage string) cli.Flag {
	return &cli.StringFlag{Name: settings.FlagName(variable), Value: sizeText(value), Usage: usage + "; a size such as 256MiB or 1GiB", Local: true, Sources: settings.From(variable), Validator: func(text string) error {
		if bytes, err := parseSize(text); err != nil || bytes < least {
			return settings.Usage("%s: %q: want a size such as 256MiB or 1GiB, at least %s", variable, text, sizeText(least))
		}
		return nil
	}}
}

var sizeUnits = []struct {
	name  string
	bytes int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

func parseSize(text string) (int64, error) {
	for _, unit := range sizeUnits {
		if number, found := strings.CutSuffix(text, unit.name); found {
			n, err := strconv.ParseUint(number, 10, 32)
			return int64(n) * unit.bytes, err
		}
	}
	return strconv.ParseInt(text, 10, 64)
}

func sizeText(bytes int64) string {
	for _, unit := range sizeUnits {
		if bytes%unit.bytes == 0 {
			return strconv.FormatInt(bytes/unit.bytes, 10) + unit.name
		}
	}
	return strconv.FormatInt(bytes, 10)
}

const durationForm = "; a duration such as 90s or 24h"

func duration(variable string, value time.Duration, usage string) cli.Flag {
	return &cli.DurationFlag{Name: settings.FlagName(variable), Value: value, Usage: usage + durationForm, Local: true, Sources: settings.From(variable), Validator: func(d time.Duration) error {
		if d < 0 {
			return settings.Usage("%s: must not be negative: %s", variable, d)
		}
		return nil
	}}
}

// config is what the settings say, checked.
type config struct {
	redisURL, baseURL, storageURL string
	pathStyle                     bool
	inputBuckets                  []string
	httpAddr, webhookAddr         string // webhookAddr: empty if it is the same
	pprof                         bool   // on any address
	handlers                      map[tasks.Stage]int
	drain                         time.Duration
	copyMemory                    int64
	pipeline                      pipeline.Settings
	callbackAllow                 callback.Allow
	webhookSecrets                func() ([]string, error) // nil: no webhooks
	webhookTolerance              time.Duration
	logJSON                       bool
	logLevel                      slog.Level
}

func read(c *cli.Command) (config, error) {
	if c.Args().Present() {
		return config{}, settings.Usage("unexpected argument %q; see worker --help", c.Args().First())
	}
	get := func(variable string) string { return c.String(settings.FlagName(variable)) }
	long := func(variable string) time.Duration { return c.Duration(settings.FlagName(variable)) }
	redisURL, err := settings.Redis(c)
	if err != nil {
		return config{}, err
	}
	conf := config{
		redisURL: redisURL, baseURL: get(varBaseURL), storageURL: get(varStorageURL),
		pathStyle: c.Bool(settings.FlagName(varPathStyle)),
		httpAddr:  get(varHTTPAddr), webhookAddr: get(varWebhookAddr), pprof: c.Bool(settings.FlagName(varPprof)),
		handlers: map[tasks.Stage]int{},
		drain:    long(varDrain),
		pipeline: pipeline.Settings{
			PollInterval: long(varPollInterval), RecordTTL: long(varRecordTTL),
			TaskRetention: long(varTaskRetention), GiveUp: long(varGiveUp),
			MaxRenders: c.Int(settings.FlagName(varMaxRenders)), APIRate: c.Float(settings.FlagName(varAPIRate)),
		},
	}
	if buckets := get(varInputBuckets); buckets != "" {
		for name := range strings.SplitSeq(buckets, ",") {
			conf.inputBuckets = append(conf.inputBuckets, strings.TrimSpace(name))
		}
	}
	if conf.copyMemory, err = parseSize(get(varCopyMemory)); err != nil {
		return conf, err // the flag has refused it before
	}
	if conf.pipeline.PollDelay, err = pace.ParseTrade(get(varPollDelay)); err != nil {
		return conf, settings.Usage("%s: %w", varPollDelay, err)
	}
	if conf.callbackAllow, err = callback.ParseAllow(get(varCallbackAllow)); err != nil {
		return conf, settings.Usage("%s: %w", varCallbackAllow, err)
	}
	if err := checkCallbackSecrets(); err != nil {
		return conf, err
	}
	if err := readAddrs(&conf); err != nil {
		return conf, err
	}
	if conf.pipeline.RecordTTL < time.Minute || conf.pipeline.GiveUp < time.Minute {
		return conf, settings.Usage("%s and %s: must be at least 1m", varRecordTTL, varGiveUp)
	}
	if conf.webhookTolerance = long(varTolerance); conf.webhookTolerance < time.Second {
		return conf, settings.Usage("%s: must be at least 1s", varTolerance)
	}
	for name := range strings.SplitSeq(get(varStages), ",") {
		stage := tasks.Stage(strings.TrimSpace(name))
		if !slices.Contains(tasks.Served(), stage) {
			return conf, settings.Usage("%s: no stage is called %q: want some of create,poll,download,cleanup,notify", varStages, name)
		}
		conf.handlers[stage] = c.Int(settings.FlagName(varConcurrency(stage)))
	}
	return conf, readLog(&conf, get(varLogFormat), get(varLogLevel))
}

// readAddrs checks where the worker is to listen, and for what.
func readAddrs(conf *config) (err error) {
	if conf.webhookSecrets, err = webhookSecrets(); err != nil {
		return err
	}
	if !validAddr(conf.httpAddr) {
		return settings.Usage("%s: %q: want host:port, such as 127.0.0.1:8420", varHTTPAddr, conf.httpAddr)
	}
	switch {
	case conf.webhookAddr == "":
	case !validAddr(conf.webhookAddr):
		return settings.Usage("%s: %q: want host:port, such as :8423", varWebhookAddr, conf.webhookAddr)
	case conf.webhookSecrets == nil:
		return settings.Usage("%s: there is nothing to serve without %s", varWebhookAddr, varWebhookSecret)
	}
	return nil
}

func validAddr(addr string) bool {
	_, port, err := net.SplitHostPort(addr)
	return err == nil && validPort(port)
}

func validPort(port string) bool {
	n, err := strconv.Atoi(port)
	return err == nil && n >= 0 && n <= 65535
}

func readLog(conf *config, format, level string) error {
	switch format {
	case "json", "text":
		conf.logJSON = format == "json"
	case "":
		conf.logJSON = !term.IsTerminal(int(os.Stderr.Fd()))
	default:
		return settings.Usage("%s: %q: want json or text", varLogFormat, format)
	}
	if err := conf.logLevel.UnmarshalText([]byte(level)); err != nil {
		return settings.Usage("%s: %q: want debug, info, warn or error", varLogLevel, level)
	}
	return nil
}

// logger writes to stderr: JSON for machines, colours for people.
func logger(c config, stderr io.Writer) *slog.Logger {
	if c.logJSON {
		return slog.New(tracing.Logs(slog.NewJSONHandler(stderr, &slog.HandlerOptions{Level: c.logLevel})))
	}
	return slog.New(tracing.Logs(tint.NewTextHandler(stderr, &tint.Options{Level: c.logLevel, TimeFormat: time.TimeOnly, NoColor: !term.IsTerminal(int(os.Stderr.Fd()))})))
}
