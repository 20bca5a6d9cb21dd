package deploy

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"

	"github.com/seed-290c2414/hourglass/internal/testservers"
)

const (
	rules     = "deploy/prometheus/alerts.yml"
	dashboard = "deploy/grafana/dashboards/hourglass.json"
	runbook   = "docs/operations.md"
)

// monitored is the demo with its metrics profile.
func monitored(t *testing.T) *types.Project {
	t.Helper()
	dir := files(t, nil)
	return load(t, dir, stack, []string{"COMPOSE_PROFILES=demo,metrics"}, withEnvFile(dir))
}

// TestRules: Prometheus takes its configuration, and each alert fires where it is to, and only there.
func TestRules(t *testing.T) {
	t.Parallel()
	promtool := testservers.Program(t, "promtool")
	for _, args := range [][]string{{"check", "config", "prometheus.yml"}, {"test", "rules", "alerts_test.yml"}} {
		cmd := exec.CommandContext(t.Context(), promtool, args...) //nolint:gosec // Prometheus' own
		cmd.Dir = filepath.Join(root, "deploy", "prometheus")
		if output, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, output)
		}
	}
}

// An alert is one as the file of rules has it.
type alert struct{ name, severity, anchor, text string }

var (
	alertName     = regexp.MustCompile(`^(\w+)\n`)
	alertSeverity = regexp.MustCompile(`labels: \{severity: (page|ticket)\}`)
	alertAnchor   = regexp.MustCompile(`runbook_url: https://github\.com/seed-290c2414/hourglass/blob/main/docs/operations\.md#(\w+)\n`)
	alertExpr     = regexp.MustCompile(`(?s)expr: (.*?)\n        (?:for|labels):`)
)

func alerts(t *testing.T) []alert {
	t.Helper()
	var all []alert
	for _, text := range strings.Split(read(t, rules), "- alert: ")[1:] {
		one := func(pattern *regexp.Regexp) string {
			match := pattern.FindStringSubmatch(text)
			if match == nil {
				t.Fatalf("%s: an alert without %s:\n%s", rules, pattern, text)
			}
			return match[1]
		}
		all = append(all, alert{one(alertName), one(alertSeverity), one(alertAnchor), one(alertExpr)})
	}
	return all
}

// TestRunbook: whoever is woken finds what to do under the name of the alert, and every alert is seen to fire.
func TestRunbook(t *testing.T) {
	t.Parallel()
	doc, tests := read(t, runbook), read(t, "deploy/prometheus/alerts_test.yml")
	known := map[string]bool{}
	for _, a := range alerts(t) {
		known[a.name] = true
		if a.anchor != strings.ToLower(a.name) || !strings.Contains(doc, "\n### "+a.name+"\n\n*"+a.severity+".* ") {
			t.Errorf("%s: %s has no such heading, or another severity than %s", a.name, runbook, a.severity)
		}
		if fires := regexp.MustCompile(`alertname: ` + a.name + `\b.*\n +eval_time: .*\n +exp_alerts:`); !fires.MatchString(tests) {
			t.Errorf("%s: never fires in a test", a.name)
		}
	}
	for _, match := range regexp.MustCompile(`(?m)^### (Hourglass\w+)$`).FindAllStringSubmatch(doc, -1) {
		if !known[match[1]] {
			t.Errorf("%s tells of %s, which is no alert", runbook, match[1])
		}
	}
	if len(known) < 10 {
		t.Errorf("only %d alerts: are they still read right?", len(known))
	}
}

// panel is one of the dashboard.
type panel struct {
	Title      string
	Datasource struct{ UID string }
	Targets    []struct{ Expr string }
}

func panels(t *testing.T) []panel {
	t.Helper()
	var d struct{ Panels []panel }
	if err := json.Unmarshal([]byte(read(t, dashboard)), &d); err != nil {
		t.Fatal(err)
	}
	return d.Panels
}

var (
	metricRow  = regexp.MustCompile("(?m)^\\| `((?:hourglass|asynq)_\\w+)` \\| (\\w+) \\| ([^|]*) \\|")
	metricUsed = regexp.MustCompile(`\b((?:hourglass|asynq)_\w+)(?:\{([^}]*)\})?`)
	labelUsed  = regexp.MustCompile(`(\w+)\s*(?:=~|!~|!=|=)\s*"`)
	labelBy    = regexp.MustCompile(`by \(([^)]*)\)`)
)

// TestMetricsExist: rules and dashboard ask for nothing that no worker exports. A test of the exporter holds the
// table in docs/operations.md to that.
func TestMetricsExist(t *testing.T) {
	t.Parallel()
	exported := map[string]string{} // labels of each
	all := map[string]bool{"instance": true, "job": true, "le": true}
	for _, row := range metricRow.FindAllStringSubmatch(read(t, runbook), -1) {
		exported[row[1]] = row[3]
		if row[2] == "histogram" {
			exported[row[1]+"_bucket"] = row[3] + " `le`"
		}
		for _, label := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(row[3], -1) {
			all[label[1]] = true
		}
	}
	asked := 0
	check := func(where, expr string) {
		for _, match := range metricUsed.FindAllStringSubmatch(expr, -1) {
			asked++
			labels, found := exported[match[1]]
			if !found {
				t.Errorf("%s: no worker exports %s", where, match[1])
			}
			for _, label := range labelUsed.FindAllStringSubmatch(match[2], -1) {
				if found && !strings.Contains(labels, "`"+label[1]+"`") {
					t.Errorf("%s: %s has no label %s", where, match[1], label[1])
				}
			}
		}
		for _, by := range labelBy.FindAllStringSubmatch(expr, -1) {
			for label := range strings.SplitSeq(by[1], ", ") {
				if !all[label] {
					t.Errorf("%s: nothing has a label %s", where, label)
				}
			}
		}
	}
	for _, a := range alerts(t) {
		check(a.name, a.text)
	}
	source := regexp.MustCompile(`(?m)^    uid: (\S+)`).FindStringSubmatch(read(t, "deploy/grafana/provisioning/datasources/prometheus.yml"))
	for _, p := range panels(t) {
		for _, target := range p.Targets {
			check("panel "+p.Title, target.Expr)
		}
		if p.Datasource.UID != source[1] {
			t.Errorf("panel %s: asks %s, which is not provisioned", p.Title, p.Datasource.UID)
		}
	}
	if asked < 30 {
		t.Errorf("only %d metrics are asked for: are they still read right?", asked)
	}
}

// TestMetricsProfile: the two services are for this machine alone, and find the files that they are given.
func TestMetricsProfile(t *testing.T) {
	t.Parallel()
	services := monitored(t).Services
	want := map[string]string{"prometheus": "prom/prometheus:v3.13.2 127.0.0.1:9090:9090", "grafana": "grafana/grafana:12.2.1 127.0.0.1:3000:3000"}
	for name, want := range want {
		s := services[name]
		got := s.Image
		for _, port := range s.Ports {
			got += " " + port.HostIP + ":" + port.Published + ":" + strconv.Itoa(int(port.Target))
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
		if s.Restart != "unless-stopped" || !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s: got restart %s, cap_drop %v, security_opt %v", name, s.Restart, s.CapDrop, s.SecurityOpt)
		}
	}
	found := map[string]string{}
	for _, name := range []string{"prometheus", "grafana"} {
		for _, v := range services[name].Volumes {
			if v.Type == types.VolumeTypeBind {
				matches, err := filepath.Glob(filepath.Join(v.Source, "*"))
				if err != nil || len(matches) == 0 || !v.ReadOnly {
					t.Errorf("%s: %s is empty, or may be written", name, v.Source)
				}
				found[v.Target] = filepath.Base(v.Source)
			}
		}
	}
	if diff := cmp.Diff(map[string]string{"/etc/prometheus": "prometheus", "/etc/grafana/provisioning": "provisioning", "/etc/grafana/dashboards": "dashboards"}, found); diff != "" {
		t.Errorf("mounted (-want +got):\n%s", diff)
	}
	if !strings.Contains(read(t, "deploy/grafana/provisioning/dashboards/hourglass.yml"), "path: /etc/grafana/dashboards}") {
		t.Error("Grafana looks for its dashboards elsewhere")
	}
}
