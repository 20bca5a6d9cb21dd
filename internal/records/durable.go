package records

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// confirmWithin bounds the wait for a replica. A healthy one confirms within a round trip.
const confirmWithin = time.Second

// SaveDurably is Save for a write that must survive a failover: where Redis has replicas, it
// waits until one of them has confirmed it, on the connection that wrote. ErrUnconfirmed means
// that the write stands on the primary, but that no replica confirmed it in time. A Redis that
// has lost the replicas it had, or another node of a cluster its own, may be cut off from them, so it confirms nothing any more until
// they are back, or until the process is started anew.
func (s *Store) SaveDurably(ctx context.Context, job string, data []byte, rev string) (string, error) {
	next := rand.Text()
	saved, err := s.saveAndWait(ctx, recordKey(job), rev, next, data)
	switch {
	case errors.Is(err, ErrUnconfirmed):
		return "", err
	case err != nil:
		return "", fmt.Errorf("save job %s durably: %w", job, err)
	case !saved:
		return "", ErrConflict
	}
	return next, nil
}

// saveAndWait speaks over one connection: WAIT counts the replicas that have what was written
// on the connection it is sent on.
func (s *Store) saveAndWait(ctx context.Context, key, rev, next string, data []byte) (saved bool, err error) {
	node, err := s.node(ctx, key)
	if err != nil {
		return false, err
	}
	conn := node.Conn()
	defer func() { err = errors.Join(err, conn.Close()) }()
	replicas, err := replicas(ctx, conn)
	if err != nil {
		return false, err
	}
	if replicas > 0 {
		s.replicated.Store(true)
	} else if s.replicated.Load() {
		return false, fmt.Errorf("%w: it had replicas and has none now; bring one back, or start the worker anew if that is meant", ErrUnconfirmed)
	}
	pipe := conn.Pipeline()
	wrote := save.Eval(ctx, pipe, []string{key}, rev, next, data, 0)
	var confirmed *redis.Cmd
	if replicas > 0 {
		confirmed = pipe.Do(ctx, "WAIT", 1, confirmWithin.Milliseconds())
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return false, err
	}
	n, err := wrote.Int()
	if err != nil || n == 0 {
		return false, err
	}
	if confirmed == nil {
		return true, nil
	}
	if n, err := confirmed.Int(); err != nil || n == 0 {
		return true, errors.Join(ErrUnconfirmed, err)
	}
	return true, nil
}

// node returns the client of the server that holds key.
func (s *Store) node(ctx context.Context, key string) (*redis.Client, error) {
	switch rdb := s.rdb.(type) {
	case *redis.Client:
		return rdb, nil
	case *redis.ClusterClient:
		return rdb.MasterForKey(ctx, key)
	default:
		return nil, fmt.Errorf("a %T has no single connection to confirm a write on: use a plain, sentinel or cluster client", rdb)
	}
}

// replicas asks how many replicas are connected. It asks for all of INFO, since servers that
// speak Redis's protocol without being Redis know no sections.
func replicas(ctx context.Context, conn *redis.Conn) (int, error) {
	info, err := conn.Info(ctx).Result()
	if err != nil {
		return 0, fmt.Errorf("ask Redis for its replicas: %w", err)
	}
	_, rest, found := strings.Cut(info, "connected_slaves:")
	if !found {
		return 0, nil
	}
	count, _, _ := strings.Cut(rest, "\r\n")
	return strconv.Atoi(count)
}
