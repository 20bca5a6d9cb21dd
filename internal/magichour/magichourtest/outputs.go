package magichourtest

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/seed-290c2414/hourglass/internal/operations"
)

// ErrNoOutput says that no project has made such a file.
var ErrNoOutput = errors.New("no such output")

// An Output is one file that a project has made.
type Output struct {
	N           int    `json:"n"`    // from 1; the fake's own count, downloads come in any order
	Path        string `json:"path"` // of its URL
	Size        int64  `json:"size"` // bytes
	ContentType string `json:"content_type"`
	SHA256      string `json:"sha256"` // lower-case hex
}

// Outputs returns the files of a project as its latest GET had them, whatever that GET
// held back, and also when the project is deleted by now. Every byte is made to be hashed.
func (s *Server) Outputs(id string) ([]Output, error) {
	s.mu.Lock()
	p, ok := s.projects[id]
	if !ok {
		s.mu.Unlock()
		return nil, ErrNoOutput
	}
	paths, edition, size := s.paths(p, p.revision()), p.behavior.Edition, s.outputSize(p)
	s.mu.Unlock()

	outputs := make([]Output, len(paths))
	for i, path := range paths {
		file := s.file(path, edition, size)
		hash := sha256.New()
		n, err := io.Copy(hash, file)
		if err != nil {
			return nil, err
		}
		outputs[i] = Output{i + 1, path, n, contentType(path), hex.EncodeToString(hash.Sum(nil))}
	}
	return outputs, nil
}

// Output returns the true bytes of output n of a project, from 1.
func (s *Server) Output(id string, n int) ([]byte, error) {
	_, file, err := s.openOutput(id, n)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(file)
}

func (s *Server) openOutput(id string, n int) (path string, file io.ReadSeeker, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.projects[id]
	if !ok {
		return "", nil, ErrNoOutput
	}
	paths := s.paths(p, p.revision())
	if n < 1 || n > len(paths) {
		return "", nil, ErrNoOutput
	}
	return paths[n-1], s.file(paths[n-1], p.behavior.Edition, s.outputSize(p)), nil
}

// OutputAt returns the true bytes of the output with that URL path.
func (s *Server) OutputAt(path string) ([]byte, error) {
	file, err := s.Open(path)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(file)
}

// Open reads the true bytes of the output with that URL path, which may be many: they are
// made while they are read.
func (s *Server) Open(path string) (io.ReadSeeker, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.owner(path)
	if !ok {
		return nil, ErrNoOutput
	}
	return s.file(path, p.behavior.Edition, s.outputSize(p)), nil
}

// owner finds the project that made the file at a path, in whichever revision.
func (s *Server) owner(path string) (*project, bool) {
	id, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	p, ok := s.projects[id]
	if !ok {
		return nil, false
	}
	for revision := range 2 {
		for _, known := range s.paths(p, revision) {
			if path == known {
				return p, true
			}
		}
	}
	return nil, false
}

// paths are those of the outputs of one revision. Like the API's, they have one basename
// for all.
func (s *Server) paths(p *project, revision int) []string {
	paths := make([]string, cmp.Or(p.behavior.Outputs, p.outputs)+revision)
	for i := range paths {
		random := s.digest("path", p.id, strconv.Itoa(revision), strconv.Itoa(i))
		paths[i] = fmt.Sprintf("/%s/%x/output.%s", p.id, random[:8], p.extension())
	}
	return paths
}

// revision is the set of outputs that the latest GET showed: 0, or 1 once it has changed.
func (p *project) revision() int {
	if p.behavior.ChangeAfter > 0 && p.doneGets > p.behavior.ChangeAfter {
		return 1
	}
	return 0
}

// shown are those of a project's outputs that are not held back at this GET.
func (p *project) shown(paths []string) []string {
	n := max(1, p.doneGets) // a webhook may come before the first GET
	empty, late := p.behavior.EmptyGets, p.behavior.LateGets
	switch {
	case within(n, empty):
		return nil
	case within(n-empty, late):
		return paths[:len(paths)-1]
	default:
		return paths
	}
}

func (p *project) extension() string {
	switch {
	case p.op.Name == "ai-gif-generator":
		return cmp.Or(p.fields.OutputFormat, "gif")
	case p.op.Kind == operations.Video:
		return "mp4"
	case p.op.Kind == operations.Audio:
		return "wav"
	default:
		return "png"
	}
}

func (s *Server) outputSize(p *project) int64 {
	return cmp.Or(p.behavior.OutputSize, s.options.OutputSize)
}
