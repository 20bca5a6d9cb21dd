package httpapi

import (
	_ "embed"
	"net/http"
)

//go:embed openapi.json
var document []byte

func openAPI(w http.ResponseWriter, _ *http.Request, _ Caller) error {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(document)
	return nil
}
