package magichourtest

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/seed-290c2414/hourglass/internal/operations"
)

// create returns the handler that sells one operation.
func (s *Server) create(op operations.Operation) handler {
	return func(req *request) reply {
		if len(req.body) == 0 {
			return refuse(http.StatusBadRequest, "Missing request body")
		}
		if !json.Valid(req.body) {
			return refuse(http.StatusBadRequest, "The request body is not JSON")
		}
		if _, err := op.Validate(req.body); err != nil {
			return refuse(http.StatusUnprocessableEntity, err.Error())
		}
		if message := s.unreadable(op, req.body); message != "" {
			return refuse(http.StatusUnprocessableEntity, message)
		}
		p, err := s.newProject(op, req.body)
		if err != nil {
			return refuse(http.StatusUnprocessableEntity, err.Error())
		}
		if p.charged > s.credits {
			return refuse(http.StatusPaymentRequired, fmt.Sprintf("%d credits are needed, %d are left", p.charged, s.credits))
		}
		s.sell(p)
		return reply{status: http.StatusOK, body: created(p), project: p, detail: op.Name}
	}
}

func (s *Server) newProject(op operations.Operation, body []byte) (*project, error) {
	seq := len(s.ordered) + 1
	p := &project{
		id: s.id("project", seq), seq: seq, op: op, request: slices.Clone(body),
		outputs: op.Outputs(body), created: s.options.Now().UTC(),
		fields: requestFields{EndSeconds: 1},
	}
	if err := json.Unmarshal(body, &p.fields); err != nil {
		return nil, err
	}
	p.takes = s.renderTime(p)
	p.charged = p.price()
	p.behavior = s.behavior
	if len(s.script) > 0 {
		p.behavior = s.script[0]
	}
	if p.fields.Name == nil {
		name := toolName(op.Name) + " - " + timestamp(p.created)
		p.fields.Name = &name
	}
	return p, applyDirective(&p.behavior, *p.fields.Name)
}

// sell takes the money. Only now are sequence number and script used up.
func (s *Server) sell(p *project) {
	s.credits -= p.charged
	s.ledger.totals.Creates++
	s.ledger.totals.Charged += p.charged
	if len(s.script) > 0 {
		s.script = s.script[1:]
	}
	s.projects[p.id] = p
	s.ordered = append(s.ordered, p)
	s.plan(p)
}

func (s *Server) renderTime(p *project) time.Duration {
	for _, name := range []string{p.op.Name, ""} {
		if d, ok := s.options.Render[name]; ok {
			return d
		}
	}
	factor := s.options.TimeScale
	if s.options.Spread > 0 {
		factor *= math.Exp(s.options.Spread * s.random.NormFloat64())
	}
	return time.Duration(float64(p.op.Typical) * factor)
}

// id makes the n-th id of its sort, in the shape of the API's: "clx7uu86w0a5qp55yxz315r6r".
func (s *Server) id(sort string, n int) string {
	key := s.digest(sort, fmt.Sprint(n))
	digits := new(big.Int).SetBytes(key[:]).Text(36)
	return "c" + digits[len(digits)-24:]
}

// digest is the root of everything seeded.
func (s *Server) digest(parts ...string) [sha256.Size]byte {
	text := binary.BigEndian.AppendUint64(nil, s.options.Seed)
	return sha256.Sum256(append(text, strings.Join(parts, "\x00")...))
}

// toolName turns "face-swap" into "Face Swap", as names of projects begin by default.
func toolName(operation string) string {
	words := strings.Split(operation, "-")
	for i, word := range words {
		words[i] = strings.ToUpper(word[:1]) + word[1:]
	}
	return strings.Join(words, " ")
}
