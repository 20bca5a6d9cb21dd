// Package chromium lets tests see web pages as a person does.
package chromium

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// A Tab is a page of a browser without a window.
type Tab struct {
	ctx context.Context
}

// patience is how long a page may take to show what it is to show.
const patience = 30 * time.Second

// Open starts a browser that ends with the test. Its profile is a new one, which chromedp makes
// and removes.
func Open(t *testing.T, width, height int) *Tab {
	t.Helper()
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(program(t)),
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-dev-shm-usage", true), // it is small in containers
		// The pages ask for fonts from elsewhere; the test is to be the same without a network.
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
		chromedp.WindowSize(width, height),
	}
	allocator, closeBrowser := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), options...)
	t.Cleanup(closeBrowser)
	ctx, closeTab := chromedp.NewContext(allocator)
	t.Cleanup(closeTab)
	if err := chromedp.Do(ctx); err != nil { // the first one starts the browser, and may have no limit
		t.Fatalf("start Chromium: %v", err)
	}
	return &Tab{ctx}
}

// program finds a browser. Without one the test is skipped, but not in CI.
func program(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("no chromium, chromium-browser or google-chrome in PATH")
	}
	t.Skip("no chromium, chromium-browser or google-chrome in PATH")
	return ""
}

// Do performs the steps, each of which waits for what it needs.
func (p *Tab) Do(t *testing.T, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.Shoot(t, "failure")
		t.Fatalf("%v; the page shows:\n%s", err, p.Text(t))
	}
}

// Shows waits until the page shows all of the texts.
func (p *Tab) Shows(t *testing.T, texts ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	for _, text := range texts {
		err := untilLoaded(ctx, chromedp.PollFunction[bool](
			`text => document.body.innerText.includes(text)`, chromedp.WithPollingArgs(text), chromedp.WithPollingTimeout(patience)))
		if err != nil {
			p.Shoot(t, "failure")
			t.Fatalf("the page does not show %q (%v), but:\n%s", text, err, p.Text(t))
		}
	}
}

// untilLoaded asks the next page where the one that was asked is left meanwhile.
func untilLoaded(ctx context.Context, poll chromedp.Action[bool]) error {
	for {
		_, err := chromedp.Run(ctx, poll)
		if err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), "context") && !strings.Contains(err.Error(), "navigated") {
			return err
		}
	}
}

// Loads waits until an expression of JavaScript is true.
func (p *Tab) Loads(t *testing.T, expression string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := untilLoaded(ctx, chromedp.Poll[bool](expression, chromedp.WithPollingTimeout(patience))); err != nil {
		p.Shoot(t, "failure")
		t.Fatalf("never true: %s (%v); the page shows:\n%s", expression, err, p.Text(t))
	}
}

// Text is what the page shows now.
func (p *Tab) Text(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.body.innerText`))
	if err != nil {
		return fmt.Sprintf("(%v)", err)
	}
	return text
}

// Shoot saves a picture of the whole page, if HOURGLASS_SCREENSHOTS names a folder.
func (p *Tab) Shoot(t *testing.T, name string) {
	t.Helper()
	folder := os.Getenv("HOURGLASS_SCREENSHOTS")
	if folder == "" {
		return
	}
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Errorf("screenshot %s: %v", name, err)
		return
	}
	if err := os.MkdirAll(folder, 0o750); err != nil { //nolint:gosec // whoever runs the test names the folder
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, name+".png"), png, 0o600); err != nil { //nolint:gosec // the same
		t.Fatal(err)
	}
}

// Click clicks on what the XPath finds, once it is there to be seen.
func Click(xpath string) chromedp.Action[chromedp.Void] {
	return chromedp.Click(chromedp.Search(xpath))
}
