package pool

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var errDead = errors.New("dead")

// kill tells of failures until a server is down.
func kill(p *Pool, i int) {
	for range p.config.Fall {
		p.Tell(i, errDead)
	}
}

// take takes n servers, one after the other, and keeps them.
func take(p *Pool, n int) (all []int) {
	for range n {
		i, _, _ := p.Take(nil)
		all = append(all, i)
	}
	return all
}

func TestBalance(t *testing.T) {
	for name, row := range map[string]struct {
		balance Balance
		down    []int
		want    []int
	}{
		"first":                          {First, nil, []int{0, 0, 0, 0}},
		"first, which is down":           {First, []int{0}, []int{1, 1, 1, 1}},
		"round robin":                    {RoundRobin, nil, []int{0, 1, 2, 0}},
		"round robin without the second": {RoundRobin, []int{1}, []int{0, 2, 0, 2}},
		"least":                          {Least, nil, []int{0, 1, 2, 0}},
		"least without the first":        {Least, []int{0}, []int{1, 2, 1, 2}},
		"none is well":                   {Least, []int{0, 1, 2}, []int{0, 1, 2, 0}},
	} {
		p := New(3, Config{Balance: row.balance})
		for _, i := range row.down {
			kill(p, i)
		}
		if got := take(p, 4); !slices.Equal(got, row.want) {
			t.Errorf("%s: %v, want %v", name, got, row.want)
		}
	}
}

// TestLeastCountsUses: who has released a server uses it no more, however often he says so.
func TestLeastCountsUses(t *testing.T) {
	p := New(2, Config{Balance: Least})
	take(p, 3) // 0, 1, 0
	_, release, _ := p.Take(nil)
	if got := p.States(); got[0].Uses != 2 || got[1].Uses != 2 {
		t.Fatalf("%+v", got)
	}
	release()
	release()
	if i, _, _ := p.Take(nil); i != 1 || p.States()[1].Uses != 2 {
		t.Errorf("took %d; %+v", i, p.States())
	}
}

func TestWhatWasTriedIsNotTakenAgain(t *testing.T) {
	for _, balance := range []Balance{First, RoundRobin, Least} {
		p := New(3, Config{Balance: balance})
		kill(p, 1)
		var tried []int
		for {
			i, _, ok := p.Take(tried)
			if !ok {
				break
			}
			tried = append(tried, i)
		}
		if !slices.Equal(tried, []int{0, 2, 1}) { // who is down comes last
			t.Errorf("%s: %v", balances[balance], tried)
		}
	}
}

// TestFallAndRise: what is now and then does not change what a server is.
func TestFallAndRise(t *testing.T) {
	var changes []error
	p := New(1, Config{Fall: 3, Rise: 2, Changed: func(_ int, why error) { changes = append(changes, why) }})
	tell := func(wantDown bool, results ...error) {
		t.Helper()
		for _, err := range results {
			p.Tell(0, err)
		}
		if down := p.States()[0].Down != nil; down != wantDown {
			t.Errorf("down: %v", down)
		}
	}
	tell(false, errDead, errDead, nil, errDead, errDead)
	tell(true, errDead)
	tell(true, nil, errDead, nil)
	tell(false, nil)
	tell(false, errDead, errDead)
	if !slices.Equal(changes, []error{errDead, nil}) {
		t.Errorf("told of %v", changes)
	}
}

// TestRun: a server that dies is found out, and so is one that comes back; the others are not touched.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(3, Config{Every: 10 * time.Second, Timeout: 4 * time.Second, Fall: 2, Rise: 2})
		ctx, cancel := context.WithCancel(t.Context())
		var dead, hangs atomic.Bool
		dead.Store(true)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			p.Run(ctx, func(ctx context.Context, i int) error {
				switch {
				case i == 1 && dead.Load():
					return errDead
				case i == 2 && hangs.Load():
					<-ctx.Done()
					return ctx.Err()
				}
				return nil
			})
		}()
		well := func(after time.Duration, want ...bool) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			for i, s := range p.States() {
				if (s.Down == nil) != want[i] {
					t.Errorf("server %d: %v", i, s.Down)
				}
			}
		}
		well(time.Second, true, true, true)
		well(10*time.Second, true, false, true)
		dead.Store(false)
		hangs.Store(true)
		well(10*time.Second, true, false, true)
		well(10*time.Second, true, true, true)
		well(4*time.Second, true, true, false)
		cancel()
		<-ended
	})
}

func TestRunEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(2, Config{Fall: 1})
		ctx, cancel := context.WithCancel(t.Context())
		go func() { time.Sleep(time.Second); cancel() }()
		p.Run(ctx, func(ctx context.Context, _ int) error { <-ctx.Done(); return ctx.Err() })
		for _, s := range p.States() {
			if s.Down != nil {
				t.Error("a check that was called off is no failure")
			}
		}
	})
}

func TestParseBalance(t *testing.T) {
	for i, name := range balances {
		if b, err := ParseBalance(name); int(b) != i || err != nil {
			t.Errorf("%s: %v, %v", name, b, err)
		}
	}
	if b, err := ParseBalance(""); b != First || err != nil {
		t.Errorf("%v, %v", b, err)
	}
	if _, err := ParseBalance("most"); err == nil {
		t.Error("most is a balance")
	}
}
