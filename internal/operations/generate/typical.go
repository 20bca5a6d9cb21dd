package main

import "time"

// typicalTimes holds the median time from create to complete, waiting in the queue
// included.
//
// Source: the processing times that Magic Hour publishes, p50 of the 30 days to
// 20 July 2026. Nothing but the median is published.
var typicalTimes = map[string]time.Duration{
	"ai-talking-photo":        174 * time.Second,
	"ai-video-editor":         85 * time.Second,
	"ai-video-translator":     untimedTranslator,
	"animation":               596 * time.Second,
	"audio-to-video":          117 * time.Second,
	"auto-subtitle-generator": 45 * time.Second,
	"character-replace":       446 * time.Second,
	"face-swap":               96 * time.Second,
	"image-to-video":          74 * time.Second,
	"lip-sync":                lipSync,
	"text-to-video":           51 * time.Second,
	"video-to-video":          772 * time.Second,

	"ai-clothes-changer":       13 * time.Second,
	"ai-face-editor":           3 * time.Second,
	"ai-gif-generator":         23 * time.Second,
	"ai-headshot-generator":    14 * time.Second,
	"ai-image-editor":          9 * time.Second,
	"ai-image-generator":       5 * time.Second,
	"ai-image-upscaler":        22 * time.Second,
	"ai-meme-generator":        9 * time.Second,
	"ai-qr-code-generator":     7 * time.Second, // from few renders, as the source says
	"body-swap":                38 * time.Second,
	"face-swap-photo":          4 * time.Second,
	"head-swap":                18 * time.Second,
	"image-background-remover": 4 * time.Second,
	"photo-colorizer":          9 * time.Second,

	"ai-voice-cloner":    21 * time.Second,
	"ai-voice-generator": 21 * time.Second,
}

const (
	lipSync = 229 * time.Second

	// untimedTranslator stands in for the one tool without a published time. A translated
	// video ends in new speech being put on the speaker's lips, so it takes lip-sync's
	// time until there is a better number. Being wrong costs a few polls, no more.
	untimedTranslator = lipSync
)
