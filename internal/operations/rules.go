package operations

import (
	"slices"
	"strings"
)

// rules are what the API states in prose only, by operation. A line here is the one source
// of the check, of its message and of [Operation.Rules].
//
// Source: what is said of the fields, as of October 2026, on the pages of the operations:
// https://docs.magichour.ai/api-reference/video-projects/text-to-video and its neighbours.
// What they leave open is not in here.
var rules = map[string][]rule{
	"ai-image-upscaler": {
		oneOf("scale_factor", 2, 4), // 4 on paid tiers only, which nobody can tell offline
	},
	"ai-talking-photo": {
		endAfterStart(),
		clipAtMost(300).whenDefault("style.generation_mode", "realistic"),
		clipAtMost(45).when("style.generation_mode", "prompted"), // older modes: no limit is published
	},
	"ai-video-editor": {
		endAfterStart(),
	},
	"ai-video-translator": {
		clipAtLeast(1),
		clipAtMost(30),
	},
	"ai-voice-generator": {
		atMostCharacters("style.prompt", 1000),
	},
	"animation": {
		required("style.art_style_custom").when("style.art_style", "Custom"),
		required("style.prompt").when("style.prompt_type", "custom"),
		required("assets.audio_file_path").when("assets.audio_source", "file"),
		required("assets.youtube_url").when("assets.audio_source", "youtube"),
	},
	"audio-to-video": {
		endAfterStart(),
	},
	"auto-subtitle-generator": {
		endAfterStart(),
		required("style.template").without("style.custom_config"),
	},
	"character-replace": {
		endAfterStart(),
		required("style.points").when("style.selection_mode", "point"),
	},
	"face-swap": {
		endAfterStart(),
		required("assets.video_file_path").when("assets.video_source", "file"),
		required("assets.youtube_url").when("assets.video_source", "youtube"),
		required("assets.image_file_path").whenDefault("assets.face_swap_mode", "all-faces"),
		required("assets.face_mappings").when("assets.face_swap_mode", "individual-faces"),
		detectedFace("assets.face_mappings[].original_face"),
	},
	"face-swap-photo": {
		required("assets.source_file_path").whenDefault("assets.face_swap_mode", "all-faces"),
		required("assets.face_mappings").when("assets.face_swap_mode", "individual-faces"),
		detectedFace("assets.face_mappings[].original_face"),
	},
	"image-to-video": durations,
	"lip-sync": {
		endAfterStart(),
		required("assets.video_file_path").when("assets.video_source", "file"),
		required("assets.youtube_url").when("assets.video_source", "youtube"),
	},
	"text-to-video": durations,
	"video-to-video": {
		endAfterStart(),
		required("assets.video_file_path").when("assets.video_source", "file"),
		required("assets.youtube_url").when("assets.video_source", "youtube"),
		required("style.prompt").when("style.prompt_type", "custom"),
		required("style.prompt").when("style.prompt_type", "append_default"),
	},
}

// durations are those of the models whose lists are settled. Any other model is left to
// the API: a list that is older than the model would refuse what can be had.
var durations = []rule{
	oneOf("end_seconds", 5, 10).when("model", "kling-2.6"),
	oneOf("end_seconds", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 20, 25, 30).when("model", "ltx-2.3"),
	oneOf("end_seconds", 4, 8, 12, 24, 36, 48, 60).when("model", "sora-2"),
}

// Rules returns the rules for a request that its schema cannot say, in plain words, one a
// line: "assets.video_file_path is required if assets.video_source is file". Most
// operations have some. [Operation.Validate] holds requests to them.
func (o Operation) Rules() []string {
	var lines []string
	for _, r := range rules[o.Name] {
		lines = append(lines, r.String())
	}
	return lines
}

// ruleProblems judges the rules that read nothing which is known to be wrong: of a request
// that is broken there they could only guess, or say the same again.
func (o Operation) ruleProblems(request map[string]any, known []Problem) []Problem {
	var problems []Problem
	for _, r := range rules[o.Name] {
		if r.readsAny(known) || !r.applies(request) {
			continue
		}
		for _, path := range r.broken(request) {
			problems = append(problems, Problem{path, r.message()})
		}
	}
	return problems
}

// readsAny tells whether one of the problems is at a field that the rule reads, or above it.
func (r rule) readsAny(problems []Problem) bool {
	return slices.ContainsFunc(problems, func(p Problem) bool {
		return slices.ContainsFunc(r.reads, func(field string) bool {
			return field == p.Path || strings.HasPrefix(field, p.Path+".")
		})
	})
}
