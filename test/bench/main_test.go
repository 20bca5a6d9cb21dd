package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain lets the test binary be its own children, as the program is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == "serve" || children[os.Args[1]] != nil) {
		if err := run(context.Background(), os.Args[1:], os.Stdout, os.Stderr); err != nil {
			_, _ = fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestMeasures runs everything that is there, once and with little: what it prints are no measurements.
func TestMeasures(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("no curl, which is the floor")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"-large", "17", "-files", "20", "-runs", "1", "-peers", filepath.Join(root, ".tools/peers")}
	if gateway := filepath.Join(root, ".tools/versitygw"); isThere(gateway) {
		args = append(args, "-versitygw", gateway)
	}
	var out, said bytes.Buffer
	if err := run(t.Context(), args, &out, &said); err != nil {
		t.Fatalf("%v\n%s\n%s", err, out.String(), said.String())
	}
	for _, want := range []string{"### large: null sink over http", "### small: null sink over TLS", "| ours |", "| transfermanager |", "| curl to /dev/null |", "### memory: 32 copies of 17 MiB at once", "### worker: a whole one", "wanted: at most 96 MiB", "HTTP/1.1"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	t.Log(out.String())
}

func isThere(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// TestAsked: the floor is there wherever something is.
func TestAsked(t *testing.T) {
	t.Parallel()
	all := scene{name: "large: null sink over http", programs: []program{curl, self("ours"), rclone}}
	for only, want := range map[string]string{
		"":          "[curl to /dev/null ours rclone copyurl]",
		"large":     "[curl to /dev/null ours rclone copyurl]",
		"ours":      "[curl to /dev/null ours]",
		"curl":      "[curl to /dev/null]",
		"small":     "[]",
		"ours,rclo": "[curl to /dev/null ours rclone copyurl]",
	} {
		var p plan
		if only != "" {
			p.only = strings.Split(only, ",")
		}
		names := []string{}
		for _, program := range p.asked(all) {
			names = append(names, program.name)
		}
		if got := fmt.Sprint(names); got != want {
			t.Errorf("-only %q: got %s, want %s", only, got, want)
		}
	}
}

// TestDechunked: what other clients send is taken off its framing, and compared.
func TestDechunked(t *testing.T) {
	t.Parallel()
	const right = "4\r\n1234\r\n5;chunk-signature=x\r\n56789\r\n0\r\nx-amz-checksum-crc32:y/Q5Jg==\r\n\r\n"
	tests := []struct {
		name, body string
		ok         bool
	}{
		{"as it should be", right, true},
		{"another byte", strings.Replace(right, "4\r\n1234", "4\r\n1235", 1), false},
		{"cut", right[:12], false},
		{"no trailer", "9\r\n123456789\r\n0\r\n\r\n", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got []byte
			var err error
			handler := dechunked{http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got, err = io.ReadAll(r.Body) })}
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "/media/x", strings.NewReader(tt.body))
			r.Header.Set("Content-Encoding", "aws-chunked")
			r.Header.Set("X-Amz-Decoded-Content-Length", "9")
			handler.ServeHTTP(httptest.NewRecorder(), r)
			if (err == nil) != tt.ok || tt.ok && string(got) != "123456789" {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}
