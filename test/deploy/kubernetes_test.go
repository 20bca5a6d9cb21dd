package deploy

import (
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/seed-290c2414/hourglass/tasks"
)

// A cluster is what `kubectl apply --kustomize deploy/kubernetes/example` would send. No cluster has seen it
// here; the types of Kubernetes refuse what they have no field for.
type cluster struct {
	deployments map[string]appsv1.Deployment
	settings    map[string]map[string]string // of config maps, by name
	scaled      map[string]scaledObject
	budgets     map[string]policyv1.PodDisruptionBudget
	services    map[string]corev1.Service
}

// A scaledObject is what is used of KEDA's.
type scaledObject struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Metadata   map[string]any    `json:"metadata"`
	Spec       scaledObjectSpec  `json:"spec"`
	Status     map[string]string `json:"status,omitempty"`
}

type scaledObjectSpec struct {
	ScaleTargetRef struct {
		Name string `json:"name"`
	} `json:"scaleTargetRef"`
	PollingInterval int            `json:"pollingInterval"`
	Min             int            `json:"minReplicaCount"`
	Max             int            `json:"maxReplicaCount"`
	Advanced        map[string]any `json:"advanced,omitempty"`
	Triggers        []struct {
		Type     string `json:"type"`
		Metadata struct {
			Address    string `json:"address"`
			ListName   string `json:"listName"`
			ListLength string `json:"listLength"`
		} `json:"metadata"`
	} `json:"triggers"`
}

func kubernetes(t *testing.T) cluster {
	t.Helper()
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(root, "deploy", "kubernetes", "example"))
	if err != nil {
		t.Fatal(err)
	}
	c := cluster{map[string]appsv1.Deployment{}, map[string]map[string]string{}, map[string]scaledObject{}, map[string]policyv1.PodDisruptionBudget{}, map[string]corev1.Service{}}
	for _, resource := range built.Resources() {
		text, err := resource.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		if resource.GetNamespace() != "hourglass" {
			t.Errorf("%s is in the namespace %q", resource.GetName(), resource.GetNamespace())
		}
		switch name := resource.GetName(); resource.GetKind() {
		case "Deployment":
			c.deployments[name] = strictly[appsv1.Deployment](t, text)
		case "ConfigMap":
			c.settings[name] = strictly[corev1.ConfigMap](t, text).Data
		case "ScaledObject":
			c.scaled[name] = strictly[scaledObject](t, text)
		case "PodDisruptionBudget":
			c.budgets[name] = strictly[policyv1.PodDisruptionBudget](t, text)
		case "Service":
			c.services[name] = strictly[corev1.Service](t, text)
		default:
			t.Errorf("nothing checks the %s %s", resource.GetKind(), name)
		}
	}
	return c
}

func strictly[T any](t *testing.T, text []byte) (v T) {
	t.Helper()
	if err := yaml.UnmarshalStrict(text, &v); err != nil {
		t.Fatalf("%v:\n%s", err, text)
	}
	return v
}

// environment is what the worker of a deployment gets.
func (c cluster) environment(t *testing.T, d appsv1.Deployment) map[string]string {
	t.Helper()
	env := map[string]string{}
	worker := d.Spec.Template.Spec.Containers[0]
	for _, from := range worker.EnvFrom {
		settings, found := c.settings[from.ConfigMapRef.Name]
		if !found {
			t.Errorf("there is no config map %s", from.ConfigMapRef.Name)
		}
		maps.Copy(env, settings)
	}
	for _, e := range worker.Env {
		env[e.Name] = e.Value
	}
	return env
}

func TestKubernetesSettings(t *testing.T) {
	t.Parallel()
	c, known := kubernetes(t), inHelp(help(t, "worker"))
	var served []string
	for name, d := range c.deployments {
		worker, env := d.Spec.Template.Spec.Containers[0], c.environment(t, d)
		for variable := range env {
			if !known.variables[variable] {
				t.Errorf("%s: the worker does not take %s", name, variable)
			}
		}
		if diff := cmp.Diff([]string{"worker"}, append(slices.Clone(worker.Command), worker.Args...)); diff != "" {
			t.Errorf("%s: command (-want +got):\n%s", name, diff)
		}
		if want := "registry.example.com/hourglass:v0.1.0"; worker.Image != want {
			t.Errorf("%s: got image %s, want %s: does the kustomization find it?", name, worker.Image, want)
		}
		served = append(served, strings.Split(env["HOURGLASS_STAGES"], ",")...)
		if env["STORAGE_URL"] != "s3://my-bucket/media" || env["HOURGLASS_LOG_FORMAT"] != "json" {
			t.Errorf("%s: settings of base and example are not merged: %v", name, env)
		}
	}
	var stages []string
	for _, stage := range tasks.Served() {
		stages = append(stages, string(stage))
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(stages)), slices.Sorted(slices.Values(served))); diff != "" {
		t.Errorf("stages served (-want +got):\n%s", diff)
	}
}

// Secrets are files of one secret, whose keys the comment says how to make.
func TestKubernetesSecrets(t *testing.T) {
	t.Parallel()
	c := kubernetes(t)
	told := read(t, "deploy/kubernetes/base/kustomization.yaml") + read(t, "deploy/kubernetes/webhooks/kustomization.yaml")
	for name, d := range c.deployments {
		pod := d.Spec.Template.Spec
		mount, volume := pod.Containers[0].VolumeMounts[0], pod.Volumes[0]
		if mount.SubPath != "" || mount.Name != volume.Name || volume.Secret.SecretName != "hourglass" || *volume.Secret.DefaultMode != 0o440 {
			t.Errorf("%s: got %+v of %+v, want the folder of the secret", name, mount, volume)
		}
		files := 0
		for variable, value := range c.environment(t, d) {
			if !strings.HasSuffix(variable, "_FILE") {
				if regexp.MustCompile(`KEY|SECRET|TOKEN|PASSWORD|REDIS_URL`).MatchString(variable) {
					t.Errorf("%s: %s is no file", name, variable)
				}
				continue
			}
			files++
			if key := filepath.Base(value); filepath.Dir(value) != mount.MountPath || !regexp.MustCompile(`\b`+key+`\b`).MatchString(told) {
				t.Errorf("%s: %s=%s: want a file in %s that a comment tells how to make", name, variable, value, mount.MountPath)
			}
		}
		if files < 4 {
			t.Errorf("%s: only %d secrets: are they still read right?", name, files)
		}
	}
}

// TestKubernetesGrace: whoever kills a worker before it has drained may leave a purchase of which nobody knows
// whether it was charged.
func TestKubernetesGrace(t *testing.T) {
	t.Parallel()
	c := kubernetes(t)
	match := regexp.MustCompile(`a purchase under way gets up to (\w+);`).FindStringSubmatch(help(t, "worker"))
	if match == nil {
		t.Fatal("the help no longer says how long a purchase gets")
	}
	const tidy = 15 * time.Second // for what is called off: internal/pipeline/serve.go
	for name, d := range c.deployments {
		env := c.environment(t, d)
		needs := duration(t, env["HOURGLASS_DRAIN"])
		if strings.Contains(env["HOURGLASS_STAGES"], "create") {
			needs = max(needs, duration(t, match[1]))
		}
		if got := time.Duration(*d.Spec.Template.Spec.TerminationGracePeriodSeconds) * time.Second; got <= needs+tidy {
			t.Errorf("%s: got a grace of %v, want more than %v", name, got, needs+tidy)
		}
	}
	if drain := duration(t, c.environment(t, c.deployments["hourglass-download"])["HOURGLASS_DRAIN"]); drain < 10*time.Minute {
		t.Errorf("the fleet that copies drains for %v only", drain)
	}
}

func duration(t *testing.T, text string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestKubernetesPodsMayDoLittle(t *testing.T) {
	t.Parallel()
	user, group, _ := strings.Cut(all[*instructions.UserCommand](dockerfile(t).final())[0].User, ":")
	for name, d := range kubernetes(t).deployments {
		pod := d.Spec.Template.Spec
		may, worker := pod.SecurityContext, pod.Containers[0]
		if !*may.RunAsNonRoot || strconv.FormatInt(*may.RunAsUser, 10) != user || strconv.FormatInt(*may.FSGroup, 10) != group || may.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
			t.Errorf("%s: pods may %+v; the image's user is %s:%s", name, may, user, group)
		}
		if s := worker.SecurityContext; *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || len(s.Capabilities.Drop) != 1 || s.Capabilities.Drop[0] != "ALL" {
			t.Errorf("%s: the container may %+v", name, s)
		}
		if *pod.AutomountServiceAccountToken || worker.Resources.Limits.Memory().IsZero() || worker.Resources.Requests.Cpu().IsZero() {
			t.Errorf("%s: want no token, and resources: %+v", name, worker.Resources)
		}
	}
}

// The probes ask where the worker listens, for what it serves, and for longer than it may take.
func TestKubernetesProbes(t *testing.T) {
	t.Parallel()
	c := kubernetes(t)
	source := read(t, "cmd/worker/health.go")
	for name, d := range c.deployments {
		worker := d.Spec.Template.Spec.Containers[0]
		_, port, _ := strings.Cut(c.environment(t, d)["HOURGLASS_HTTP_ADDR"], ":")
		ports := map[string]string{}
		for _, p := range worker.Ports {
			ports[p.Name] = strconv.Itoa(int(p.ContainerPort))
		}
		_, hooks, _ := strings.Cut(c.environment(t, d)["HOURGLASS_WEBHOOK_ADDR"], ":")
		if ports["http"] != port || ports["webhooks"] != hooks || (hooks != "") != (name == "hourglass-pipeline") {
			t.Errorf("%s: got ports %+v, want http at %s and webhooks at %q", name, worker.Ports, port, hooks)
		}
		for path, probe := range map[string]*corev1.Probe{"/livez": worker.LivenessProbe, "/readyz": worker.ReadinessProbe} {
			if probe.HTTPGet.Path != path || probe.HTTPGet.Port.StrVal != "http" || !strings.Contains(source, `"GET `+path+`"`) {
				t.Errorf("%s: got %+v, want %s of the worker", name, probe.HTTPGet, path)
			}
		}
		for _, match := range regexp.MustCompile(`ask\w+For += (\d+) \* time\.Second`).FindAllStringSubmatch(source, -1) {
			if limit := match[1]; limit >= strconv.Itoa(int(worker.ReadinessProbe.TimeoutSeconds)) && len(limit) > 1 {
				t.Errorf("%s: the probe waits %d s, the worker may take %s", name, worker.ReadinessProbe.TimeoutSeconds, limit)
			}
		}
	}
	service := c.services["hourglass-webhooks"]
	pipeline := c.deployments["hourglass-pipeline"]
	for label, value := range service.Spec.Selector {
		if pipeline.Spec.Template.Labels[label] != value {
			t.Errorf("the service looks for %s=%s, which the pods do not have", label, value)
		}
	}
	if service.Spec.Ports[0].TargetPort.StrVal != "webhooks" || c.environment(t, pipeline)["MAGIC_HOUR_WEBHOOK_SECRET_FILE"] == "" {
		t.Errorf("the service leads to %+v, or the pods know no secret", service.Spec.Ports)
	}
}

// Every fleet has a scale and a budget, and the lists that scale it are those of its stages.
func TestKubernetesScale(t *testing.T) {
	t.Parallel()
	c := kubernetes(t)
	for name, d := range c.deployments {
		s, budget := c.scaled[name], c.budgets[name]
		if s.Spec.ScaleTargetRef.Name != name || s.Spec.Min < 1 || s.Spec.Max <= s.Spec.Min || d.Spec.Replicas != nil {
			t.Errorf("%s: got %+v, want it scaled between 1 and more", name, s.Spec)
		}
		var want, got []string
		for stage := range strings.SplitSeq(c.environment(t, d)["HOURGLASS_STAGES"], ",") {
			want = append(want, "asynq:{"+tasks.Stage(stage).Queue()+"}:pending")
		}
		for _, trigger := range s.Spec.Triggers {
			if list := trigger.Metadata.ListName; !strings.HasSuffix(list, ":active") {
				got = append(got, list)
			}
			if n, err := strconv.Atoi(trigger.Metadata.ListLength); err != nil || n < 1 || trigger.Type != "redis" {
				t.Errorf("%s: trigger %+v", name, trigger)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: lists (-want +got):\n%s", name, diff)
		}
		if budget.Spec.MaxUnavailable == nil || budget.Spec.MaxUnavailable.IntVal != 1 || budget.Spec.MinAvailable != nil {
			t.Errorf("%s: got budget %+v", name, budget.Spec)
		}
		if diff := cmp.Diff(d.Spec.Selector, budget.Spec.Selector); diff != "" {
			t.Errorf("%s: the budget is of other pods (-deployment +budget):\n%s", name, diff)
		}
	}
	if len(c.deployments) != 2 || len(c.scaled) != 2 || len(c.budgets) != 2 {
		t.Errorf("got %d deployments, %d scaled objects, %d budgets", len(c.deployments), len(c.scaled), len(c.budgets))
	}
}
