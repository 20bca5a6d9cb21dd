// Package browser sees the dashboard of cmd/demo as a person does: in Chromium, with the pages of
// Asynqmon as they come.
package browser

import (
	"testing"

	"github.com/chromedp/chromedp"
)

func TestDashboard(t *testing.T) {
	t.Parallel()
	page := open(t)
	dashboard := demo(t)

	t.Run("the queues", func(t *testing.T) {
		page.do(t, chromedp.Navigate(dashboard))
		page.shows(t, "hourglass-create", "hourglass-poll", "hourglass-download", "hourglass-cleanup")
		page.shoot(t, "queues")
	})

	t.Run("a cleanup that is done", func(t *testing.T) {
		page.do(t, click(`//a[text()="hourglass-cleanup"]`), click(`//span[contains(@class, "MuiChip-label") and contains(., "Completed")]`))
		page.shows(t, "ai_image_generator_")
		page.shoot(t, "cleanup-completed")
		page.do(t, click(`//tr[contains(., "ai_image_generator_")]/td[2]`))
		page.shows(t,
			"Task Info",
			`"operation": "ai-image-generator"`, `"job_id": "ai_image_generator_`, // of the payload
			`"state": "done"`, `"keys": [`, `/4.png"`, // of the result
		)
		page.shoot(t, "cleanup-task")
	})

	t.Run("the render that failed", func(t *testing.T) {
		page.do(t, chromedp.Navigate(dashboard+"/queues/hourglass-poll?status=archived"))
		page.shows(t, "face_swap_", "no_source_face")
		page.shoot(t, "poll-archived")
		page.do(t, click(`//tr[contains(., "face_swap_")]/td[2]`))
		page.shows(t, "Task Info", `"operation": "face-swap"`, "Last Failure:", "no_source_face")
		page.shoot(t, "poll-task")
	})

	t.Run("what was asked for", func(t *testing.T) {
		page.do(t, chromedp.Navigate(dashboard+"/queues/hourglass-create?status=completed"), click(`//tr[contains(., "face_swap_")]/td[2]`))
		page.shows(t, "Task Info", `"video_file_path": "https://example.com/robot.mp4"`, `"created_at": "`, `"state": "rendering"`)
		page.shoot(t, "create-task")
	})
}

// click clicks on what the XPath finds, once it is there to be seen.
func click(xpath string) chromedp.Action[chromedp.Void] {
	return chromedp.Click(chromedp.Search(xpath))
}
