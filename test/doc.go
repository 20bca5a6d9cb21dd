// Package test has its own module for tests whose dependencies nobody who imports tasks should
// inherit: the deployment files against the loader that compose uses (deploy), and the dashboard in
// a real browser (browser).
package test
