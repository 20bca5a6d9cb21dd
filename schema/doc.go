// Package schema holds JSON Schemas of what Hourglass reads and writes, for other languages: README.md says which. They
// are generated from the types of package tasks.
package schema

//go:generate go run ./generate
