package operations

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"sync"
	"time"
)

//go:embed catalogue_gen.json
var embedded []byte

// catalogue is every operation, sorted by name as the generator wrote them.
var catalogue = sync.OnceValue(func() []Operation {
	all, err := parseCatalogue(embedded)
	if err != nil {
		// The file is part of the program, and a test reads all of it.
		panic(fmt.Sprintf("operations: catalogue_gen.json: %v", err))
	}
	return all
})

func parseCatalogue(file []byte) ([]Operation, error) {
	var entries []struct {
		Name, Path, Typical string
		Kind                Kind
		Assets              []string
		Schema              json.RawMessage
	}
	if err := json.Unmarshal(file, &entries); err != nil {
		return nil, err
	}
	all := make([]Operation, 0, len(entries))
	for _, e := range entries {
		typical, err := time.ParseDuration(e.Typical)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.Name, err)
		}
		manyFiles, err := hasImageCount(e.Schema)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.Name, err)
		}
		all = append(all, Operation{
			Name: e.Name, Kind: e.Kind, Path: e.Path, Assets: e.Assets, Typical: typical,
			schema:    e.Schema,
			checks:    sync.OnceValue(func() *checks { return compileChecks(e.Schema) }),
			manyFiles: manyFiles,
		})
	}
	return all, nil
}
