package testservers_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-290c2414/hourglass/internal/testservers"
)

func TestRedis(t *testing.T) { //nolint:tparallel // its subtest ends before the rest looks
	t.Parallel()
	var addr string
	t.Run("answers", func(t *testing.T) {
		addr = testservers.Redis(t)
		if err := dial(t.Context(), addr); err != nil {
			t.Fatal(err)
		}
	})
	if err := dial(t.Context(), addr); err == nil {
		t.Error("still answers after the test that started it")
	}
}

func dial(ctx context.Context, addr string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	return conn.Close()
}

func TestVersityGW(t *testing.T) {
	t.Parallel()
	server := testservers.VersityGW(t, "media")
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.Endpoint+"/media", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := new(http.Transport).RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	if err := response.Body.Close(); err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusForbidden {
		t.Errorf("unsigned request: got %s, want 403", response.Status)
	}
	if got, want := strings.Join(server.Environ(), " "), "AWS_ENDPOINT_URL_S3="+server.Endpoint; !strings.Contains(got, want) {
		t.Errorf("environ: got %s, want %s in it", got, want)
	}
}

// child makes TestChild do something: the other tests start this binary with it in the
// environment, to see how a test ends that they could not survive.
const child = "HOURGLASS_TESTSERVERS_CHILD"

func TestChild(t *testing.T) { //nolint:paralleltest // runs alone, in a process of its own
	switch os.Getenv(child) {
	case "missing":
		testservers.VersityGW(t)
	case "serve":
		fmt.Println("addr=" + testservers.Redis(t)) //nolint:forbidigo // read by the parent
		select {}
	}
}

func TestMissingProgram(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, ci, want string
	}{
		{"at home it is skipped", "", "--- SKIP: TestChild"},
		{"in CI it fails", "true", "--- FAIL: TestChild"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			cmd := childProcess(t, "missing")
			cmd.Dir = t.TempDir() // no repository above it
			cmd.Env = append(cmd.Env, "PATH=", "CI="+test.ci)
			output, _ := cmd.CombinedOutput() // its exit code is what the output says
			if !strings.Contains(string(output), test.want) || !strings.Contains(string(output), "make tools") {
				t.Errorf("got %s, want %s and how to install", output, test.want)
			}
		})
	}
}

func childProcess(t *testing.T, mode string) *exec.Cmd {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if binary, err = filepath.Abs(binary); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), binary, "-test.run=^TestChild$", "-test.v") //nolint:gosec // itself
	cmd.Env = append(os.Environ(), child+"="+mode)
	return cmd
}
