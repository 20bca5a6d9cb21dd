package magichourtest

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/seed-290c2414/hourglass/internal/operations"
)

// A Server is a fake Magic Hour. [New] makes one; [Server.Start] lets it listen, or its two
// handlers are served by the caller. All methods are safe for concurrent use.
type Server struct {
	options    Options
	api, media http.Handler

	mu       sync.Mutex // guards all below
	key      string
	revoked  bool
	credits  int
	projects map[string]*project
	ordered  []*project // as created
	agenda   agenda
	behavior Behavior   // of projects made from now on
	script   []Behavior // of the next ones, instead
	faults   []*Fault
	ledger   ledger
	limiter  limiter
	uploads  map[string]*upload
	webhooks Webhooks
	outbox   []*delivery
	signed   int // URLs so far, so that no two are equal
	random   *rand.Rand
	mediaURL string
	apiURL   string
	released chan struct{} // closed to let go of held requests

	hooks   *http.Client
	servers []*http.Server
	serving sync.WaitGroup
}

// New makes a fake that does not listen yet.
func New(o Options) *Server {
	o = o.withDefaults()
	s := &Server{
		options: o, key: o.Key, credits: o.Credits, behavior: o.Behavior, webhooks: o.Webhooks,
		projects: map[string]*project{}, uploads: map[string]*upload{},
		random:   rand.New(rand.NewPCG(o.Seed, 0)), //nolint:gosec // repeatable is what is wanted
		mediaURL: o.MediaURL, released: make(chan struct{}), ledger: ledger{limit: maxEvents},
		hooks: newWebhookClient(),
	}
	s.api, s.media = s.apiRoutes(), http.HandlerFunc(s.serveMedia)
	return s
}

// API returns the handler of the API and of its control under /_fake/. When it is not
// [Server.Start] that serves it, [Options.MediaURL] must say where [Server.Media] is served.
func (s *Server) API() http.Handler { return s.api }

// Media returns the handler of the host that files are fetched from and uploaded to.
func (s *Server) Media() http.Handler { return s.media }

// Start listens on [Options.Addr] and [Options.MediaAddr]. The context bounds only the
// start. The caller calls Close.
func (s *Server) Start(ctx context.Context) error {
	var lc net.ListenConfig
	api, err := lc.Listen(ctx, "tcp", s.options.Addr)
	if err != nil {
		return err
	}
	media, err := lc.Listen(ctx, "tcp", s.options.MediaAddr)
	if err != nil {
		return errors.Join(err, api.Close())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.apiURL = "http://" + api.Addr().String() + s.options.BasePath
	if s.mediaURL == "" {
		s.mediaURL = "http://" + media.Addr().String()
	}
	s.serve(api, s.api)
	s.serve(media, s.media)
	return nil
}

func (s *Server) serve(l net.Listener, h http.Handler) {
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	s.servers = append(s.servers, server)
	s.serving.Go(func() { _ = server.Serve(l) }) // ends when Close closes the listener
}

// URL returns the base of the API, without a slash at the end: "http://127.0.0.1:1234".
// Empty before Start.
func (s *Server) URL() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.apiURL
}

// MediaURL returns the base of the URLs that the API hands out.
func (s *Server) MediaURL() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mediaURL
}

// Close stops listening, drops every connection and lets go of held requests.
func (s *Server) Close() {
	s.mu.Lock()
	servers := s.servers
	s.servers = nil
	s.release()
	s.mu.Unlock()
	for _, server := range servers {
		_ = server.Close() // its listener may be closed already
	}
	s.serving.Wait()
	s.hooks.CloseIdleConnections()
}

// RevokeKey makes every call of the API a 401 until it is given false.
func (s *Server) RevokeKey(revoked bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revoked = revoked
}

// SetKey replaces the accepted bearer token, as a rotation of keys does.
func (s *Server) SetKey(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.key = key
}

// SetCredits sets the balance of the account. Charges and refunds go on from there.
func (s *Server) SetCredits(credits int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	s.credits = credits
}

func (s *Server) apiRoutes() http.Handler {
	mux := http.NewServeMux()
	for _, op := range operations.All() {
		mux.Handle("POST "+op.Path, s.handle(Create, s.create(op)))
	}
	for _, kind := range []operations.Kind{operations.Video, operations.Image, operations.Audio} {
		path := " /v1/" + string(kind) + "-projects/{id}"
		mux.Handle("GET"+path, s.handle(Poll, s.poll(kind)))
		mux.Handle("DELETE"+path, s.handle(Delete, s.delete(kind)))
	}
	mux.Handle("GET /v1/account", s.handle(Account, s.account))
	mux.Handle("POST /v1/files/upload-urls", s.handle(UploadURL, s.uploadURLs))
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		refuse(http.StatusNotFound, "Not Found").write(w)
	})

	root := http.NewServeMux()
	root.Handle("/_fake/", s.controlRoutes())
	root.Handle("/", http.StripPrefix(s.options.BasePath, mux))
	return root
}
