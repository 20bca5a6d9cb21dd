package testservers_test

import (
	"bufio"
	"os"
	"strings"
	"testing"
	"time"
)

func TestKilledTestLeavesNoServer(t *testing.T) {
	t.Parallel()
	cmd := childProcess(t, "serve")
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var addr string
	var printed []string
	for lines := bufio.NewScanner(output); addr == "" && lines.Scan(); {
		printed = append(printed, lines.Text())
		if after, ok := strings.CutPrefix(lines.Text(), "addr="); ok {
			addr = after
		}
	}
	if addr == "" {
		_ = cmd.Wait()
		if os.Getenv("CI") == "true" {
			t.Fatalf("no redis-server: %s", printed)
		}
		t.Skipf("no redis-server: %s", printed)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for dial(t.Context(), addr) == nil { // the test's own time limit ends it
		<-tick.C
	}
}
