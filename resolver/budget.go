package resolver

import (
	"context"
	"errors"
	"runtime"
)

// What one question may cost. Whoever signs a zone decides how much work its validation is: colliding
// key tags and heaps of signatures (KeyTrap, CVE-2023-50387), NSEC3 hashes (CVE-2023-50868), chains of
// zones. Real zones stay far below.
const (
	maxQueries       = 64  // messages to a server, without repetitions
	maxSignatures    = 64  // tries to verify a signature
	maxSignaturesSet = 16  // of them for one set of records
	maxSameTag       = 4   // keys of a zone with the tag and algorithm of one signature
	maxHashes        = 128 // of names (NSEC3) and of keys (DS)
	maxKeys          = 32  // in a zone
	maxLinks         = 8   // CNAMEs and DNAMEs in a row
)

// A budget is what is left for one question. A budget that is spent says nothing of the answer: it is
// neither secure nor bogus.
type budget struct{ queries, signatures, hashes int }

func newBudget() budget { return budget{maxQueries, maxSignatures, maxHashes} }

// spend takes one of what is left.
func spend(left *int, what string) error {
	if *left <= 0 {
		return spent(what)
	}
	*left--
	return nil
}

// errSpent is of the one question whose budget it was, and of no other.
var errSpent = errors.New("more than one question may cost")

func spent(what string) error {
	return indeterminate(edeNone, "the answer needs more %s: %w", what, errSpent)
}

// gate lets as many goroutines of the process verify signatures at once as there are processors. More
// would only make each of them, and everything else, slower.
var gate = make(chan struct{}, runtime.GOMAXPROCS(0))

// gated runs the work when its turn has come.
func gated(ctx context.Context, work func()) error {
	select {
	case gate <- struct{}{}:
		defer func() { <-gate }()
		work()
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
