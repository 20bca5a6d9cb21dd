package httpapi

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed-290c2414/hourglass/tasks"
)

// A Scope is something that a token may allow.
type Scope string

// The scopes.
const (
	Submit Scope = "submit"
	Read   Scope = "read"
	Cancel Scope = "cancel"
	Retry  Scope = "retry"
	Notify Scope = "notify" // by task and stream, that is, to write into the Redis of the fleet
)

// Scopes returns those that a token has unless told otherwise: all but Notify.
func Scopes() []Scope { return []Scope{Submit, Read, Cancel, Retry} }

// Everyone is the tenant of a token that is about the jobs of all tenants.
const Everyone = "*"

// A Caller is whoever shows a token. The token itself is nowhere kept: only its SHA-256, which, of 256 random bits,
// nobody can find the token by.
type Caller struct {
	Name          string  `json:"name"`
	SHA256        string  `json:"sha256"`                    // of the token, in hexadecimal
	Tenant        string  `json:"tenant"`                    // whose jobs it sees and submits; Everyone's
	Scopes        []Scope `json:"scopes"`                    // none: it may do nothing
	CreditsPerDay *int    `json:"credits_per_day,omitempty"` // days of UTC; missing: any number
}

var everybody = Caller{Name: "everybody", Tenant: Everyone, Scopes: append(Scopes(), Notify)}

// May reports whether the caller may do something.
func (c Caller) May(s Scope) bool { return slices.Contains(c.Scopes, s) }

// Sees reports whether the caller may know of a job.
func (c Caller) Sees(j *tasks.Job) bool { return c.Tenant == Everyone || c.Tenant == j.Options.Tenant }

var (
	validName   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	validSHA256 = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

func (c Caller) check() error {
	switch {
	case !validName.MatchString(c.Name):
		return fmt.Errorf("name %q: want up to 64 of A-Z a-z 0-9 . _ -", c.Name)
	case !validSHA256.MatchString(c.SHA256):
		return fmt.Errorf("token %s: sha256: want 64 hexadecimal digits in lower case: enqueue token makes them", c.Name)
	case c.Tenant != Everyone && !validName.MatchString(c.Tenant):
		return fmt.Errorf("token %s: tenant %q: want up to 64 of A-Z a-z 0-9 . _ -, or * for all", c.Name, c.Tenant)
	case c.CreditsPerDay != nil && *c.CreditsPerDay < 0:
		return fmt.Errorf("token %s: credits_per_day: must not be negative", c.Name)
	}
	for _, s := range c.Scopes {
		if !slices.Contains(append(Scopes(), Notify), s) {
			return fmt.Errorf("token %s: scope %q: want some of submit, read, cancel, retry, notify", c.Name, s)
		}
	}
	return nil
}

// A TokenFile says who may ask for what.
type TokenFile struct {
	V      int      `json:"v"` // version of this form: 1
	Tokens []Caller `json:"tokens"`

	// Prices are what a job of an operation costs at most, in credits, where the operator knows: the API publishes
	// none. Of the others it is guessed by what they were last charged.
	Prices map[string]int `json:"prices,omitempty"`
}

// ReadTokenFile reads and checks a file.
func ReadTokenFile(path string) (TokenFile, error) {
	var f TokenFile
	text, err := os.ReadFile(path)
	if err != nil {
		return f, err
	}
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return f, fmt.Errorf("%s: %w", path, err)
	}
	return f, f.check(path)
}

func (f TokenFile) check(path string) error {
	if f.V != 1 {
		return fmt.Errorf("%s: v: want 1", path)
	}
	names, hashes := map[string]bool{}, map[string]bool{}
	for _, c := range f.Tokens {
		if err := c.check(); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if names[c.Name] || hashes[c.SHA256] {
			return fmt.Errorf("%s: there are two tokens of the name %s, or with its sha256: choose another name", path, c.Name)
		}
		names[c.Name], hashes[c.SHA256] = true, true
	}
	for operation, price := range f.Prices {
		if price < 0 {
			return fmt.Errorf("%s: prices: %s: must not be negative", path, operation)
		}
	}
	return nil
}

// HashToken is what a TokenFile knows a token by.
func HashToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// Tokens are those of a file, which is read again when it has changed, so that tokens come and go without a restart.
type Tokens struct {
	path string
	log  *slog.Logger

	mu     sync.Mutex
	looked time.Time // when the file was last looked at
	stamp  stamp
	byHash map[string]Caller
	prices map[string]int
	broken string // what is wrong with the file, as was logged
}

// lookAgain is how soon a changed file counts.
const lookAgain = time.Second

// A stamp changes with a file.
type stamp struct {
	at   time.Time
	size int64
}

// OpenTokens reads the file. A later one that is broken is logged, and the one before stays.
func OpenTokens(path string, log *slog.Logger) (*Tokens, error) {
	t := &Tokens{path: path, log: log}
	return t, t.read()
}

func (t *Tokens) read() error {
	info, err := os.Stat(t.path)
	if err != nil {
		return err
	}
	now := stamp{info.ModTime(), info.Size()}
	if now == t.stamp {
		return nil
	}
	f, err := ReadTokenFile(t.path)
	if err != nil {
		return err
	}
	t.stamp, t.prices, t.byHash = now, f.Prices, map[string]Caller{}
	for _, c := range f.Tokens {
		t.byHash[c.SHA256] = c
	}
	return nil
}

// fresh is called with the lock held.
func (t *Tokens) fresh() {
	if time.Since(t.looked) < lookAgain {
		return
	}
	t.looked = time.Now()
	broken := ""
	if err := t.read(); err != nil {
		broken = err.Error()
	}
	if broken != "" && broken != t.broken { // once, not every second
		t.log.Error("the file of tokens can't be read: those from before count", "reason", broken)
	}
	t.broken = broken
}

// Lookup returns whose token it is. Tokens are told apart by their hashes, so how long it takes tells nothing of them.
func (t *Tokens) Lookup(token string) (Caller, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fresh()
	c, known := t.byHash[HashToken(token)]
	return c, known && token != ""
}

// price is what the operator says that an operation costs.
func (t *Tokens) price(operation string) (int, bool) {
	if t == nil {
		return 0, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	n, known := t.prices[operation]
	return n, known
}

// bearer is the token of a request; "" if it has none.
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// Add puts a caller into the file at path, which it makes if there is none, and returns the token, which is nowhere
// else. A name that is taken is an error.
func (c Caller) Add(path, token string) error {
	f, err := ReadTokenFile(path)
	if errors.Is(err, os.ErrNotExist) {
		f, err = TokenFile{V: 1}, nil
	}
	if err != nil {
		return err
	}
	c.SHA256 = HashToken(token)
	f.Tokens = append(f.Tokens, c)
	if err := f.check(path); err != nil {
		return err
	}
	text, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	mode := os.FileMode(0o600)
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	// Beside it and renamed: a server may read it at any moment. Who adds at the same time is refused, not lost.
	next, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return fmt.Errorf("%w; is another token being added? If not, remove it", err)
	}
	_, err = next.Write(append(text, '\n'))
	if err = errors.Join(err, next.Close()); err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(path+".new"))
	}
	return err
}
