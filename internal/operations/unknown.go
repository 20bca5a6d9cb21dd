package operations

import (
	"fmt"
	"slices"
	"strings"
)

// Unknown says of a name that [Lookup] doesn't find what may have been meant by it. Typing
// errors, parts of a name and paths ("/v1/face-swap") are understood.
func Unknown(name string) string {
	wanted := strings.ToLower(strings.TrimPrefix(strings.TrimPrefix(name, "/"), "v1/"))
	if wanted == "face-detection" {
		return "face-detection is not covered yet: it makes no project; call the API itself"
	}
	if meant := near(wanted); len(meant) > 0 {
		return fmt.Sprintf("unknown operation %q: did you mean %s?", name, strings.Join(meant, " or "))
	}
	return fmt.Sprintf("unknown operation %q; see enqueue operations", name)
}

// near is the one operation whose name begins or ends that way or else those, mostly one,
// that are the fewest typing errors away.
func near(wanted string) []string {
	const forgiven = 2 // typing errors; two neighbours swapped count as two
	var parts, typos []string
	fewest := forgiven
	for _, o := range catalogue() {
		if strings.HasPrefix(o.Name, wanted) || strings.HasSuffix(o.Name, wanted) {
			parts = append(parts, o.Name)
		}
		// The lengths alone say that much, and spare the work for a name of a megabyte.
		if len(wanted)-len(o.Name) > fewest || len(o.Name)-len(wanted) > fewest {
			continue
		}
		switch errors := edits(wanted, o.Name); {
		case errors < fewest:
			fewest, typos = errors, []string{o.Name}
		case errors == fewest:
			typos = append(typos, o.Name)
		}
	}
	if len(parts) == 1 {
		return parts
	}
	return typos
}

// edits is the Levenshtein distance: how many letters must be put in, left out or replaced
// to make b of a.
func edits(a, b string) int {
	row := make([]int, len(b)+1) // of the table of distances between the beginnings of a and b
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		above := slices.Clone(row)
		row[0] = i + 1
		for j := range len(b) {
			replaced := above[j]
			if a[i] != b[j] {
				replaced++
			}
			row[j+1] = min(replaced, above[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
