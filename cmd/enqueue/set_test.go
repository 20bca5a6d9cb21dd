package main

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/seed-290c2414/hourglass/internal/settings"
)

func TestSetFields(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, body string
		sets       []string
		want       string
	}{
		{"nothing to set", `{"a": 1}`, nil, `{"a": 1}`},
		{"a number and a text", `{}`, []string{"end_seconds=5", "style.prompt=a tin robot"}, `{"end_seconds":5,"style":{"prompt":"a tin robot"}}`},
		{"laid over the body", `{"style":{"prompt":"x","tool":"y"}}`, []string{"style.prompt=z"}, `{"style":{"prompt":"z","tool":"y"}}`},
		{"the last one wins", `{}`, []string{"a=1", "a=2"}, `{"a":2}`},
		{"JSON values", `{}`, []string{`a=true`, `b=null`, `c="5"`, `d={"x":[1]}`, `e=[]`}, `{"a":true,"b":null,"c":"5","d":{"x":[1]},"e":[]}`},
		{"texts that are no JSON", `{}`, []string{"a=16:9", "b=5 robots", "c=", "d={", "e=1 2"}, `{"a":"16:9","b":"5 robots","c":"","d":"{","e":"1 2"}`},
		{"a value with = and ,", `{}`, []string{"a=b=c,d=e"}, `{"a":"b=c,d=e"}`},
		{"numbers stay as they are", `{}`, []string{"a=12345678901234567890", "b=1.50"}, `{"a":12345678901234567890,"b":1.50}`},
		{"lists", `{}`, []string{"assets.face_mappings[1].new_face=b", "assets.face_mappings[0].new_face=a"}, `{"assets":{"face_mappings":[{"new_face":"a"},{"new_face":"b"}]}}`},
		{"a list of lists", `{}`, []string{"a[0][1]=x"}, `{"a":[[null,"x"]]}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := setFields([]byte(tt.body), tt.sets)
			if err != nil || string(got) != tt.want {
				t.Errorf("got %s, %v\nwant %s", got, err, tt.want)
			}
		})
	}
}

func TestSetFieldsRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ body, set string }{
		{`{}`, "prompt"}, {`{}`, "=x"}, {`{}`, "a..b=x"}, {`{}`, "a.=x"}, {`{}`, "[0]=x"}, {`{}`, "a[=x"}, {`{}`, "a[]=x"}, {`{}`, "a[x]=x"},
		{`{}`, "a[-1]=x"}, {`{}`, "a[1000000]=x"}, {`{}`, "a[0]b=x"}, {`{"a":1}`, "a.b=x"}, {`{"a":{}}`, "a[0]=x"}, {`[]`, "a=x"}, {`{`, "a=x"}, {`{} {}`, "a=x"},
		{"{\"a\":\"caf\xe9\"}", "b=x"}, {`{}`, "a=caf\xe9"},
	} {
		got, err := setFields([]byte(tt.body), []string{tt.set})
		if !errors.Is(err, settings.ErrUsage) || !strings.Contains(err.Error(), "--") {
			t.Errorf("%s with %s: got %s, %v; want a usage error that names the flag", tt.body, tt.set, got, err)
		}
	}
}

func FuzzSetFields(f *testing.F) {
	f.Add(`{"a":[{"b":1}]}`, "a[0].b=2")
	f.Add(`{}`, "a[3][4].b.c=null")
	f.Fuzz(func(t *testing.T, body, set string) {
		got, err := setFields([]byte(body), []string{set})
		if err == nil && !json.Valid(got) {
			t.Errorf("%s with %s gives %s", body, set, got)
		}
	})
}
