package media_test

import (
	"encoding/json"
	"fmt"
	"log"

	"github.com/seed-290c2414/hourglass/tasks/media"
)

// What is left out is not sent. A pointer says that zero is meant.
func Example() {
	for _, clip := range []media.TextToVideo{
		{EndSeconds: 5, Style: media.TextToVideoStyle{Prompt: "a tin robot waves"}},
		{EndSeconds: 5, Style: media.TextToVideoStyle{Prompt: "a tin robot waves"}, Audio: new(false), Resolution: media.Resolution1080p},
	} {
		body, err := json.Marshal(clip)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(clip.Operation(), string(body))
	}
	// Output:
	// text-to-video {"end_seconds":5,"style":{"prompt":"a tin robot waves"}}
	// text-to-video {"end_seconds":5,"style":{"prompt":"a tin robot waves"},"audio":false,"resolution":"1080p"}
}
