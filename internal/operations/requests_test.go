package operations

import (
	_ "embed"
	"encoding/json"
	"testing"
)

//go:embed testdata/minimal.json
var minimalFile []byte

// minimal holds the smallest valid request of every operation: what the schema requires
// and what the rules demand besides. Tests of other packages read the file, too.
var minimal = func() (all map[string]json.RawMessage) {
	if err := json.Unmarshal(minimalFile, &all); err != nil {
		panic(err)
	}
	return all
}()

// changed is the minimal request of an operation with a change put over it.
func changed(tb testing.TB, operation, change string) []byte {
	tb.Helper()
	return overlaid(tb, minimal[operation], change)
}

// overlaid puts one request over another, objects member by member.
func overlaid(tb testing.TB, body []byte, change string) []byte {
	tb.Helper()
	request, problem := decode(body)
	if problem != nil {
		tb.Fatalf("%s: %v", body, problem)
	}
	over, problem := decode([]byte(change))
	if problem != nil {
		tb.Fatalf("%s: %v", change, problem)
	}
	merge(request, over)
	return encode(tb, request)
}

func merge(object, over map[string]any) {
	for name, value := range over {
		was, isObject := object[name].(map[string]any)
		members, staysObject := value.(map[string]any)
		if isObject && staysObject {
			merge(was, members)
			continue
		}
		object[name] = value
	}
}

func encode(tb testing.TB, request map[string]any) []byte {
	tb.Helper()
	body, err := json.Marshal(request)
	if err != nil {
		tb.Fatal(err)
	}
	return body
}

// operation looks up what a test is sure to find.
func operation(tb testing.TB, name string) Operation {
	tb.Helper()
	o, ok := Lookup(name)
	if !ok {
		tb.Fatalf("Lookup(%q) found nothing", name)
	}
	return o
}
