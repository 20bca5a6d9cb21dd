package main

import (
	"fmt"
	"maps"
	"slices"
)

// keywords are the ones that mean the same in OpenAPI 3.0 and in JSON Schema, and that
// package operations has words for. A new one needs a message there before it goes here.
var keywords = []string{
	"type", "enum", "default", "required",
	"minimum", "maximum", "multipleOf", "minLength", "maxLength", "minItems", "maxItems",
}

// formats are checked (uri) or say how a number is stored (float).
var formats = []any{"uri", "float"}

// convert turns an OpenAPI schema into a JSON schema. The only word that differs is
// nullable, which becomes one more type and, where values are listed, one more value.
func convert(path string, openapi map[string]any) (map[string]any, error) {
	schema := map[string]any{}
	for keyword, value := range openapi {
		switch {
		case keyword == "nullable":
		case keyword == "properties":
			properties, err := convertProperties(path, value)
			if err != nil {
				return nil, err
			}
			schema[keyword] = properties
		case keyword == "items":
			items, err := convertChild(path+"[]", value)
			if err != nil {
				return nil, err
			}
			schema[keyword] = items
		case slices.Contains(keywords, keyword), keyword == "format" && slices.Contains(formats, value):
			schema[keyword] = value
		default:
			return nil, fmt.Errorf("%s: schema keyword %s: %v is not known here", path, keyword, value)
		}
	}
	if openapi["nullable"] == true {
		allowNull(schema)
	}
	return schema, nil
}

func convertProperties(path string, value any) (map[string]any, error) {
	properties, ok := value.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%s: properties is not an object", path)
	}
	converted := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		child, err := convertChild(below(path, name), properties[name])
		if err != nil {
			return nil, err
		}
		converted[name] = child
	}
	return converted, nil
}

func convertChild(path string, value any) (map[string]any, error) {
	schema, ok := value.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%s: not a schema", path)
	}
	return convert(path, schema)
}

func allowNull(schema map[string]any) {
	schema["type"] = []any{schema["type"], "null"}
	if values, ok := schema["enum"].([]any); ok {
		schema["enum"] = append(slices.Clone(values), nil)
	}
}

func below(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
