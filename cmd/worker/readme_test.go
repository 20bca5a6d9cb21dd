package main

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/urfave/cli/v3"
)

// TestREADMEHasTheSettings: the table in the README is made of the same declarations as --help.
// go test ./cmd/worker -update writes it.
func TestREADMEHasTheSettings(t *testing.T) {
	t.Parallel()
	const path, begin, end = "../../README.md", "| variable | meaning | default |\n|---|---|---|\n", "\n\n"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), begin)
	table, after, _ := strings.Cut(rest, end)
	if !found {
		t.Fatal("the README has no table of settings")
	}
	want := strings.Join(rows(), "\n")
	if *update {
		table = want
		if err := os.WriteFile(path, []byte(before+begin+want+end+after), 0o600); err != nil { //nolint:gosec // always the README
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(want, table); diff != "" {
		t.Errorf("table of settings in the README (-want +got):\n%s", diff)
	}
}

// rows are those of the table: what is no flag first.
func rows() []string {
	rows := []string{
		"| `MAGIC_HOUR_API_KEY` | the API's key; required. No flag: flags show in the list of processes | |",
		"| `MAGIC_HOUR_WEBHOOK_SECRET` | secret of the webhook at Magic Hour, or several with commas while it is rotated; without it nothing is served at `/webhooks/magichour`. No flag | |",
		"| `HOURGLASS_CALLBACK_SECRET` | signs the notices that jobs want posted to a URL ([docs/notices.md](docs/notices.md)): `whsec_` and base64 of 24 to 64 bytes, or several with commas while it is rotated; without it those notices wait. No flag | |",
		"| `AWS_*` | keys, region, endpoint (`AWS_ENDPOINT_URL_S3`) and all else, as the AWS SDK reads them | |",
		"| `OTEL_*` | `OTEL_EXPORTER_OTLP_ENDPOINT` is where OpenTelemetry traces go, over OTLP/HTTP, such as `http://127.0.0.1:4318`; unset: there are none. The others as the OpenTelemetry SDK reads them; `enqueue` heeds them, too, and `TRACEPARENT` | |",
	}
	for _, f := range flags() {
		doc := f.(cli.DocGenerationFlag)
		value := fmt.Sprint(reflect.ValueOf(f).Elem().FieldByName("Value"))
		value = strings.TrimSuffix(value, "0m0s") // 168h0m0s
		if value != "" {
			value = "`" + value + "` "
		}
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %s|", doc.GetEnvVars()[0], strings.TrimSuffix(doc.GetUsage(), durationForm), value))
	}
	return rows
}
