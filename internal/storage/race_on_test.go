//go:build race

package storage_test

// stride is how many requests lie between two that fail: the race detector makes everything many times slower,
// and `make test` lets every single one fail without it.
const stride = 5
