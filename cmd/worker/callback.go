package main

import (
	"os"

	"github.com/seed-290c2414/hourglass/internal/callback"
	"github.com/seed-290c2414/hourglass/internal/settings"
)

const varCallbackSecret = "HOURGLASS_CALLBACK_SECRET"

// callbackSecrets is what notices are signed with, as callback.ParseSecrets takes it.
func callbackSecrets() (string, error) {
	if os.Getenv(varCallbackSecret) == "" && os.Getenv(varCallbackSecret+"_FILE") == "" {
		return "", callback.ErrNoSecret
	}
	return settings.Secret(varCallbackSecret)
}
