package pipeline

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// A test that kills a worker does so by a panic within a call, of which net/http learns only when
// the call times out.
func TestMain(m *testing.M) {
	_ = os.Unsetenv("AWS_CA_BUNDLE") // beside it the SDK takes no HTTP client of ours, and nothing here speaks TLS
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction("net/http.setRequestCancel.func4"), goleak.IgnoreTopFunction("net/http.awaitLegacyCancel"),
		goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"))
}
