// Package browser sees the dashboard of cmd/demo as a person does: in Chromium, with the pages of
// Asynqmon as they come.
package browser

import (
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/seed-290c2414/hourglass/test/chromium"
)

func TestDashboard(t *testing.T) {
	t.Parallel()
	page := chromium.Open(t, 1600, 1500)
	dashboard, _ := demo(t)

	t.Run("the queues", func(t *testing.T) {
		page.Do(t, chromedp.Navigate(dashboard))
		page.Shows(t, "hourglass-create", "hourglass-poll", "hourglass-download", "hourglass-cleanup")
		page.Shoot(t, "queues")
	})

	t.Run("a cleanup that is done", func(t *testing.T) {
		page.Do(t, chromium.Click(`//a[text()="hourglass-cleanup"]`), chromium.Click(`//span[contains(@class, "MuiChip-label") and contains(., "Completed")]`))
		page.Shows(t, "ai_image_generator_")
		page.Shoot(t, "cleanup-completed")
		page.Do(t, chromium.Click(`//tr[contains(., "ai_image_generator_")]/td[2]`))
		page.Shows(t,
			"Task Info",
			`"operation": "ai-image-generator"`, `"job_id": "ai_image_generator_`, // of the payload
			`"state": "done"`, `"credits_charged": `, `"keys": [`, `/4.png"`, `"bytes": `, `"remote": "deleted"`, // of the result
		)
		page.Shoot(t, "cleanup-task")
	})

	t.Run("the render that failed", func(t *testing.T) {
		page.Do(t, chromedp.Navigate(dashboard+"/queues/hourglass-poll?status=archived"))
		page.Shows(t, "face_swap_", "no_source_face")
		page.Shoot(t, "poll-archived")
		page.Do(t, chromium.Click(`//tr[contains(., "face_swap_")]/td[2]`))
		page.Shows(t, "Task Info", `"operation": "face-swap"`, "Last Failure:", "no_source_face", "the credits were refunded; mend the input")
		page.Shoot(t, "poll-task")
	})

	t.Run("what was asked for", func(t *testing.T) {
		page.Do(t, chromedp.Navigate(dashboard+"/queues/hourglass-create?status=completed"), chromium.Click(`//tr[contains(., "face_swap_")]/td[2]`))
		page.Shows(t, "Task Info", `"video_file_path": "https://example.com/robot.mp4"`, `"created_at": "`, `"state": "rendering"`)
		page.Shoot(t, "create-task")
	})
}
