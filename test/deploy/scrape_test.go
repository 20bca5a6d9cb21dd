package deploy

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/seed-290c2414/hourglass/internal/testservers"
)

// A prometheus is the one of the compose file, as a process that watches the workers of a running stack.
type prometheus struct {
	*running
	process *process
	url     string
}

// checkMetrics looks at the stack through Prometheus: what it knows of the job that was done, whether Asynqmon's page
// of metrics has something to show, and whether it understands the dashboard.
func (r *running) checkMetrics() {
	r.t.Helper()
	p := &prometheus{running: r}
	service := monitored(r.t).Services["prometheus"]
	for range attempts {
		if p.start(service) {
			break
		}
	}
	for _, expr := range []string{
		`sum(hourglass_jobs_settled_total{operation="ai-image-generator",outcome="done"}) == 1`,
		`count(min by (instance) (hourglass_ready) == 1) == ` + strconv.Itoa(len(r.workers)),
		`sum(hourglass_stage_seconds_count) == 5`,
		`sum(hourglass_credits_charged_total) > 0`,
		`sum(hourglass_copied_bytes_total) > 0`,
		`sum(hourglass_api_requests_total{route="DELETE /v1/{kind}-projects/{id}",code=~"2.."}) == 1`,
	} {
		p.comesToHave(expr)
	}
	asked := regexp.MustCompile(`promQL\w+ += ("asynq.*"|"rate.*")`).FindAllStringSubmatch(asynqmonSource(r.t, "metrics_handler.go"), -1)
	if len(asked) != 9 {
		r.t.Errorf("Asynqmon has %d queries, not 9: are they still read right?", len(asked))
	}
	for _, match := range asked {
		var expr string
		if err := json.Unmarshal([]byte(match[1]), &expr); err != nil {
			r.t.Fatal(err)
		}
		p.comesToHave(strings.ReplaceAll(expr, "QUEUE_FILTER", ""))
	}
	for _, panel := range panels(r.t) {
		for _, target := range panel.Targets {
			if _, ok := p.ask(target.Expr); !ok {
				r.t.Errorf("panel %s: Prometheus does not understand %s", panel.Title, target.Expr)
			}
		}
	}
	if p.has(`ALERTS{alertstate="firing"}`) {
		r.t.Error("an alert fires, and nothing is wrong")
	}
}

// start starts it with the files of the repository, in which workers are found by their addresses instead of
// by compose's DNS, and asked more often.
func (p *prometheus) start(service types.ServiceConfig) bool {
	p.t.Helper()
	dir := p.t.TempDir()
	config := regexp.MustCompile(`(?s)dns_sd_configs:.*`).ReplaceAllString(read(p.t, "deploy/prometheus/prometheus.yml"), `static_configs: [{targets: ["`+strings.Join(p.workers, `", "`)+`"]}]`)
	config = strings.ReplaceAll(config, "_interval: 15s", "_interval: 1s")
	for name, text := range map[string]string{"prometheus.yml": config, "alerts.yml": read(p.t, rules)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			p.t.Fatal(err)
		}
	}
	addr := "127.0.0.1:" + freePort(p.t)
	line := []string{"--web.listen-address=" + addr}
	for _, argument := range service.Command {
		line = append(line, strings.NewReplacer("/etc/prometheus/", dir+"/", "=/prometheus", "="+p.t.TempDir()).Replace(argument))
	}
	p.url = "http://" + addr
	p.process = start(p.t, "prometheus", nil, testservers.Program(p.t, "prometheus"), line...)
	return p.process.until("is ready", func() bool { return p.get(p.url+"/-/ready") == http.StatusOK })
}

// comesToHave waits until a query has an answer that is not empty: Prometheus looks at the workers now and then.
func (p *prometheus) comesToHave(expr string) {
	p.t.Helper()
	if !p.process.until("answers "+expr, func() bool { return p.has(expr) }) {
		p.t.Fatal("Prometheus has ended")
	}
}

// has reports whether a query has an answer that is not empty.
func (p *prometheus) has(expr string) bool {
	found, _ := p.ask(expr)
	return found > 0
}

// ask returns how many series a query finds, and whether it is understood.
func (p *prometheus) ask(expr string) (series int, ok bool) {
	p.t.Helper()
	request, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.url+"/api/v1/query?query="+url.QueryEscape(expr), nil)
	if err != nil {
		p.t.Fatal(err)
	}
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		return 0, false
	}
	defer response.Body.Close()
	var said struct {
		Status string
		Data   struct{ Result []json.RawMessage }
	}
	err = json.NewDecoder(response.Body).Decode(&said)
	return len(said.Data.Result), err == nil && said.Status == "success"
}
