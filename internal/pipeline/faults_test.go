package pipeline

import (
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
)

// A layer is one of the three outsides of a worker.
type layer string

const (
	inRedis layer = "redis" // every round trip of the Redis client
	inHTTP  layer = "http"  // every request to the API and to the media host, and every file's body
	inStore layer = "store" // every call of the store; of an S3 store, every request
)

func layers() []layer { return []layer{inRedis, inHTTP, inStore} }

// refused is the error of a call that was never made.
func (l layer) refused() error {
	return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
}

// cut is the error of a call whose answer was lost.
func (l layer) cut() error {
	if l == inRedis { // what a Redis that has hung says, and so does the client's own timeout
		return &net.OpError{Op: "read", Net: "tcp", Err: os.ErrDeadlineExceeded}
	}
	return &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
}

// A kind is what a fault does to a call.
type kind string

const (
	fails       kind = "fails"        // before it takes effect
	loses       kind = "loses"        // its answer, after it took effect
	stopsBefore kind = "stops-before" // the process is killed right before the call
	stopsAfter  kind = "stops-after"  // ... right after it took effect
)

func kinds() []kind { return []kind{fails, loses, stopsBefore, stopsAfter} }

func (k kind) stops() bool { return k == stopsBefore || k == stopsAfter }

// A fault happens to the call of a layer with this number, from 1.
type fault struct {
	layer layer
	n     int
	kind  kind
}

// String names the fault: "redis call 12 loses".
func (f fault) String() string { return fmt.Sprintf("%s call %d %s", f.layer, f.n, f.kind) }

// An encounter is a fault and the call that met it.
type encounter struct {
	fault
	call string
}

// calm lets nothing fail any more. A process that was killed may still be at a gate.
func (w *world) calm() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = nil
}

// meet numbers a call and returns what is to happen to it.
func (w *world) meet(l layer, call string) kind {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count[l]++
	for _, f := range w.faults {
		if f.layer == l && f.n == w.count[l] {
			w.calls = append(w.calls, fmt.Sprintf("*** %s (%s) ***", f, call))
			w.met = append(w.met, encounter{f, call})
			return f.kind
		}
	}
	return ""
}

// story is what went through the gates, with the faults among it: the calls around each.
func (w *world) story() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	const around = 12
	var b strings.Builder
	last := 0
	for i, call := range w.calls {
		if !strings.HasPrefix(call, "***") {
			continue
		}
		from, to := max(last, i-around), min(len(w.calls), i+2*around)
		if from > last {
			b.WriteString("...\n")
		}
		for ; from < to; from++ {
			fmt.Fprintln(&b, w.calls[from])
		}
		last = max(last, to)
	}
	return b.String()
}
