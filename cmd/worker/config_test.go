package main

import "testing"

func TestParseSize(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text string
		want int64 // -1: refused
	}{
		{"256MiB", 256 << 20},
		{"1GiB", 1 << 30},
		{"16384KiB", 16 << 20},
		{"16777216", 16 << 20},
		{"4294967295GiB", 4294967295 << 30},
		{"", -1},
		{"MiB", -1},
		{"-1MiB", -1},
		{"1.5GiB", -1},
		{"1 GiB", -1},
		{"9999999999GiB", -1},
		{"256MB", -1},
	}
	for _, tt := range tests {
		got, err := parseSize(tt.text)
		if err != nil {
			got = -1
		}
		if got != tt.want {
			t.Errorf("%q: got %d (%v), want %d", tt.text, got, err, tt.want)
		}
		if again, err := parseSize(sizeText(tt.want)); tt.want >= 0 && (again != tt.want || err != nil) {
			t.Errorf("%q: written as %s, read as %d (%v)", tt.text, sizeText(tt.want), again, err)
		}
	}
}
