package browser

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/seed-290c2414/hourglass/test/chromium"
)

// TestPages: jobs and their files as their callers see them, on a phone.
func TestPages(t *testing.T) {
	t.Parallel()
	page := chromium.Open(t, 390, 844)
	_, pages := demo(t)

	t.Run("all jobs", func(t *testing.T) {
		page.Do(t, chromedp.Navigate(pages))
		page.Shows(t, "ai_image_generator_", "face_swap_", "failed", "done")
		page.Shoot(t, "pages-list")
		fits(t, page)
		page.Loads(t, `document.querySelector(".thumb img")?.naturalWidth > 0`)
	})

	t.Run("those that failed", func(t *testing.T) {
		page.Do(t, chromium.Click(`//nav/a[text()="Failed"]`))
		page.Shows(t, "face_swap_")
		if text := page.Text(t); strings.Contains(text, "ai_image_generator_") {
			t.Errorf("the tab shows others as well:\n%s", text)
		}
		page.Do(t, chromium.Click(`//li/a[contains(., "face_swap_")]`))
		page.Shows(t, "no_source_face, in stage poll", "To do:")
		page.Shoot(t, "pages-failed")
		fits(t, page)
		page.Loads(t, `document.querySelector("main form") === null`) // to retry would take another purchase
	})

	t.Run("the files of one", func(t *testing.T) {
		page.Do(t, chromedp.Navigate(pages+"/?show=done"), chromium.Click(`//li/a[contains(., "ai_image_generator_")]`))
		page.Shows(t, "File 4", "Original", "deleted")
		page.Loads(t, `[...document.querySelectorAll(".files img")].filter(i => (i.scrollIntoView(), i.complete && i.naturalWidth > 0)).length === 4`)
		page.Shoot(t, "pages-files")
		fits(t, page)
	})

	t.Run("a job that goes on", func(t *testing.T) {
		page.Do(t, chromedp.Navigate(pages))
		post(t, pages+"/v1/jobs", `{"id":"by_http","operation":"text-to-video","body":{"name":"[fake render=8s]","end_seconds":5,"style":{"prompt":"x"}}}`)
		page.Do(t, chromedp.Navigate(pages+"/jobs/by_http"))
		page.Loads(t, `document.querySelector("progress")?.value >= 0`)
		page.Shoot(t, "pages-progress")
		page.Shows(t, "done", "File 1") // without a reload
		page.Loads(t, `document.querySelector("video")?.readyState >= 1 || document.querySelector("video")?.error !== null`)
		page.Shoot(t, "pages-done")
	})
}

// fits holds that a page is no wider than the window.
func fits(t *testing.T, page *chromium.Tab) {
	t.Helper()
	page.Loads(t, `document.documentElement.scrollWidth <= window.innerWidth`)
}

func post(t *testing.T, url, body string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := (&http.Client{}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusAccepted {
		t.Fatalf("got %s", answer.Status)
	}
}
