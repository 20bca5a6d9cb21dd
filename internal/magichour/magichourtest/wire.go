package magichourtest

import (
	"cmp"
	"strings"
	"time"

	"github.com/seed-290c2414/hourglass/internal/operations"
)

// A projectObject is a project on the wire, in the answer of a GET and in webhooks. What
// one kind alone has is embedded, so that it is there for that kind, even when null, and
// not for the others.
type projectObject struct {
	ID             string       `json:"id"`
	Name           *string      `json:"name"`
	Status         string       `json:"status"`
	Type           string       `json:"type"`
	CreatedAt      string       `json:"created_at"`
	Enabled        bool         `json:"enabled"`
	CreditsCharged int          `json:"credits_charged"`
	Downloads      []signedFile `json:"downloads"`
	Error          *apiError    `json:"error"`
	TotalFrameCost *int         `json:"total_frame_cost,omitempty"` // deprecated; official parsers fail without it
	*videoFields
	*imageFields
}

type videoFields struct {
	Width        int         `json:"width"`
	Height       int         `json:"height"`
	StartSeconds float64     `json:"start_seconds"`
	EndSeconds   float64     `json:"end_seconds"`
	FPS          float64     `json:"fps"`
	Download     *signedFile `json:"download"` // deprecated, too
}

type imageFields struct {
	ImageCount int `json:"image_count"`
}

type signedFile struct {
	URL       string `json:"url"`
	ExpiresAt string `json:"expires_at"`
}

// object shows a project in a status, with the downloads given.
func (p *project) object(status string, downloads []signedFile) projectObject {
	o := projectObject{
		ID: p.id, Name: p.fields.Name, Status: status, Type: typeOf(p.op.Name),
		CreatedAt: timestamp(p.created), Enabled: !p.deleted, CreditsCharged: p.charged, Downloads: downloads,
	}
	if status == failed {
		o.Error = &apiError{p.behavior.Error, "The render failed: " + p.behavior.Error}
	}
	switch p.op.Kind {
	case operations.Video:
		o.TotalFrameCost, o.videoFields = &o.CreditsCharged, p.video(status, downloads)
	case operations.Image:
		o.TotalFrameCost, o.imageFields = &o.CreditsCharged, &imageFields{p.outputs}
	}
	return o
}

// video has estimates until the video is complete, then the numbers of the embedded one.
func (p *project) video(status string, downloads []signedFile) *videoFields {
	v := &videoFields{
		Width: -1, Height: -1, FPS: 30,
		StartSeconds: p.fields.StartSeconds, EndSeconds: p.fields.EndSeconds,
	}
	if status == complete {
		v.Width, v.Height, v.FPS = 160, 90, 10
	}
	if len(downloads) > 0 {
		v.Download = &downloads[0]
	}
	return v
}

// created is the answer to a create. The two costs are deprecated, and each kind but audio
// has its own; official parsers fail without them.
func created(p *project) map[string]any {
	answer := map[string]any{"id": p.id, "credits_charged": p.charged}
	switch p.op.Kind {
	case operations.Video:
		answer["estimated_frame_cost"] = p.charged
	case operations.Image:
		answer["frame_cost"] = p.charged
	}
	return answer
}

// timestamp writes a time as the API does: milliseconds and Z.
func timestamp(t time.Time) string {
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

// projectTypes are the documented values of a project's type, where they are not simply
// the operation's name.
var projectTypes = map[string]string{
	"ai-clothes-changer":       "CLOTHES_CHANGER",
	"ai-face-editor":           "FACE_EDITOR",
	"ai-gif-generator":         "AI_GIF",
	"ai-headshot-generator":    "AI_HEADSHOT",
	"ai-image-generator":       "AI_IMAGE",
	"ai-image-upscaler":        "IMAGE_UPSCALER",
	"ai-meme-generator":        "AI_MEME",
	"ai-qr-code-generator":     "QR_CODE",
	"ai-talking-photo":         "TALKING_PHOTO",
	"ai-video-editor":          "VIDEO_EDITOR",
	"ai-video-translator":      "VIDEO_TRANSLATOR",
	"ai-voice-cloner":          "VOICE_CLONER",
	"ai-voice-generator":       "VOICE_GENERATOR",
	"auto-subtitle-generator":  "AUTO_SUBTITLE",
	"face-swap-photo":          "FACE_SWAP",
	"image-background-remover": "BACKGROUND_REMOVER",
}

func typeOf(operation string) string {
	return cmp.Or(projectTypes[operation], strings.ToUpper(strings.ReplaceAll(operation, "-", "_")))
}
