package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWebhookSecrets(t *testing.T) {
	clean(t)
	if read, err := webhookSecrets(); read != nil || err != nil {
		t.Errorf("none is set: got %v; want no webhooks", err)
	}
	path := filepath.Join(t.TempDir(), "secret")
	t.Setenv("MAGIC_HOUR_WEBHOOK_SECRET_FILE", path)
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("whsec_a\n")
	read, err := webhookSecrets()
	if err != nil {
		t.Fatal(err)
	}
	write("whsec_a, whsec_b\n") // rotated under a running worker
	got, err := read()
	if diff := cmp.Diff([]string{"whsec_a", "whsec_b"}, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	write("whsec_a,")
	if got, err := read(); err == nil {
		t.Errorf("an empty secret: got %q", got)
	}
}
