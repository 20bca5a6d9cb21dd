package pipeline

import (
	"testing"

	"go.uber.org/goleak"
)

// A test that kills a worker does so by a panic within a call, of which net/http learns only when
// the call times out.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction("net/http.setRequestCancel.func4"), goleak.IgnoreTopFunction("net/http.awaitLegacyCancel"),
		goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"))
}
