//go:build unix

package storage

import (
	"fmt"
	"syscall"
)

// allocate takes memory from the system, which gives it zeroed and only where it is written to.
func allocate(size int) ([]byte, error) {
	buffer, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("memory for a copy: %w", err)
	}
	return buffer, nil
}

func release(buffer []byte) {
	_ = syscall.Munmap(buffer) // it is one of allocate's
}
