// Package test has its own module for tests whose dependencies nobody who imports tasks should
// inherit: the deployment files against the loader that compose uses (deploy), the dashboard in
// a real browser (browser), and copies over a network that fails (network).
package test
