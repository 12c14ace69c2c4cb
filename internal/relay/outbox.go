package relay

import (
	"context"
	"sync"
)

// An outbox is what waits to be told elsewhere, so that mail does not. It is bounded.
type outbox[T any] struct {
	once  sync.Once
	queue chan T
}

const maxWaiting = 1000

func (o *outbox[T]) open() chan T {
	o.once.Do(func() { o.queue = make(chan T, maxWaiting) })
	return o.queue
}

// put reports whether there was room.
func (o *outbox[T]) put(one T) bool {
	select {
	case o.open() <- one:
		return true
	default:
		return false
	}
}

// run gives what comes to tell, one after the other, until ctx ends.
func (o *outbox[T]) run(ctx context.Context, tell func(T)) {
	for {
		select {
		case one := <-o.open():
			tell(one)
		case <-ctx.Done():
			return
		}
	}
}
