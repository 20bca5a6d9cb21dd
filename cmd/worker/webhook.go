package main

import (
	"os"
	"strings"

	"github.com/seed-290c2414/hourglass/internal/settings"
)

const (
	webhookPath = "/webhooks/magichour"

	varWebhookSecret = "MAGIC_HOUR_WEBHOOK_SECRET"
)

// webhookSecrets returns what reads the secrets by which webhooks are signed; nil if there are none. A
// file is read again at every event, so that they can be rotated under a running worker.
func webhookSecrets() (func() ([]string, error), error) {
	if os.Getenv(varWebhookSecret) == "" && os.Getenv(varWebhookSecret+"_FILE") == "" {
		return nil, nil //nolint:nilnil // no webhooks is a setting
	}
	_, err := readWebhookSecrets()
	return readWebhookSecrets, err
}

// readWebhookSecrets reads a list with commas. An empty one among them would let everybody sign.
func readWebhookSecrets() ([]string, error) {
	text, err := settings.Secret(varWebhookSecret)
	if err != nil {
		return nil, err
	}
	secrets := strings.Split(text, ",")
	for i, secret := range secrets {
		if secrets[i] = strings.TrimSpace(secret); secrets[i] == "" {
			return nil, settings.Usage("%s: want secrets with a comma between them, and none of them empty", varWebhookSecret)
		}
	}
	return secrets, nil
}
