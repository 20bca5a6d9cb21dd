package magichourtest

import (
	"cmp"
	"fmt"
	"net/http"

	"github.com/seed-290c2414/hourglass/internal/operations"
)

// find returns the project if it is of that kind.
func (s *Server) find(kind operations.Kind, id string) (*project, bool) {
	p, ok := s.projects[id]
	return p, ok && p.op.Kind == kind
}

// poll returns the handler that shows a project of one kind.
func (s *Server) poll(kind operations.Kind) handler {
	return func(req *request) reply {
		p, ok := s.find(kind, req.id)
		if !ok {
			return refuse(http.StatusNotFound, "Not Found")
		}
		p.gets++
		if within(p.gets, p.behavior.MissingGets) {
			return refuse(http.StatusNotFound, "Not Found")
		}
		if p.deleted && cmp.Or(p.behavior.DeletedAs, s.options.DeletedAs) == Gone {
			return refuse(http.StatusNotFound, "Not Found")
		}
		return s.show(p)
	}
}

func (s *Server) show(p *project) reply {
	status := p.status(s.options.Now())
	downloads := []signedFile{}
	if status == complete && !p.deleted {
		p.doneGets++
		downloads = s.downloads(p)
	}
	return reply{
		status: http.StatusOK, body: p.object(status, downloads), project: p,
		detail: fmt.Sprintf("%s, %d downloads", status, len(downloads)),
	}
}

// downloads signs the outputs that a complete project shows at this GET, in an order that
// means nothing.
func (s *Server) downloads(p *project) []signedFile {
	files := []signedFile{}
	for _, path := range p.shown(s.paths(p, p.revision())) {
		files = append(files, s.sign(http.MethodGet, path))
	}
	s.random.Shuffle(len(files), func(i, j int) { files[i], files[j] = files[j], files[i] })
	return files
}

// delete returns the handler that removes a project of one kind.
func (s *Server) delete(kind operations.Kind) handler {
	return func(req *request) reply {
		p, ok := s.find(kind, req.id)
		if !ok || p.deleted {
			return refuse(http.StatusNotFound, "Not Found")
		}
		if status := p.behavior.DeleteStatus; status != 0 {
			return refuse(status, "This project cannot be deleted")
		}
		p.deleted = true
		s.ledger.totals.Deletes++
		return reply{status: http.StatusNoContent, project: p, detail: s.obituary(p)}
	}
}

// obituary says what was lost with a project, for whoever reads the ledger.
func (s *Server) obituary(p *project) string {
	unread := 0
	for _, path := range s.paths(p, p.revision()) {
		if p.downloaded[path] == 0 {
			unread++
		}
	}
	return fmt.Sprintf("%s, %d outputs never downloaded", p.status(s.options.Now()), unread)
}

// within tells whether the n-th time, from 1, is among the first so many. Negative: all.
func within(n, first int) bool {
	return first < 0 || n <= first
}
