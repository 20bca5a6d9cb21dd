// Package e2e holds the tests that run the programs as their users do: real processes, a real
// Redis, a real S3 server, and the fake API as a process of its own.
package e2e
