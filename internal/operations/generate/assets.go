package main

import (
	"fmt"
	"slices"
	"strings"
)

// assetSuffixes end the name of every field that refers to a media file. The two faces
// are the pairs of face_mappings.
var assetSuffixes = []string{"_file_path", "_file_paths", "original_face", "new_face"}

// assetFields lists the fields of a request that refer to media files, dotted, with []
// after a list, sorted.
func assetFields(request map[string]any) ([]string, error) {
	properties, _ := request["properties"].(map[string]any)
	assets, ok := properties["assets"].(map[string]any)
	if !ok {
		return nil, nil
	}
	fields, err := stringFields("assets", "assets", assets)
	slices.Sort(fields)
	return fields, err
}

// stringFields finds the free strings at and below a schema. Below assets every one of
// them must be a file: another one means that the API has learnt something new.
func stringFields(path, name string, schema map[string]any) ([]string, error) {
	if isFreeString(schema) {
		if !isAssetName(name) {
			return nil, fmt.Errorf("%s: is it a file? Its name does not tell: see assetSuffixes", path)
		}
		return []string{path}, nil
	}
	var fields []string
	if items, ok := schema["items"].(map[string]any); ok {
		found, err := stringFields(path+"[]", name, items)
		if err != nil {
			return nil, err
		}
		fields = append(fields, found...)
	}
	properties, _ := schema["properties"].(map[string]any)
	for child, value := range properties {
		sub, _ := value.(map[string]any)
		found, err := stringFields(below(path, child), child, sub)
		if err != nil {
			return nil, err
		}
		fields = append(fields, found...)
	}
	return fields, nil
}

// isFreeString leaves out choices (video_source) and plain URLs (youtube_url).
func isFreeString(schema map[string]any) bool {
	return schema["type"] == "string" && schema["enum"] == nil && schema["format"] == nil
}

func isAssetName(name string) bool {
	return slices.ContainsFunc(assetSuffixes, func(suffix string) bool {
		return strings.HasSuffix(name, suffix)
	})
}
