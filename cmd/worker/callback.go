package main

import (
	"errors"
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

// checkCallbackSecrets refuses what nothing can be signed with; that there is none is a setting.
func checkCallbackSecrets() error {
	list, err := callbackSecrets()
	if errors.Is(err, callback.ErrNoSecret) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := callback.ParseSecrets(list); err != nil {
		return settings.Usage("%s: %w", varCallbackSecret, err)
	}
	return nil
}
