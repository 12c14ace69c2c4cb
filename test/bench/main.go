//go:build linux

// Command bench measures the gateway beside stunnel and nginx's mail proxy, and beside the least that
// crypto/tls can do: sessions through STARTTLS, bulk, memory of idle connections, round trips, the wait
// before TLS, and what the CPU does besides cryptography; and "policy serve" beside
// postfix-mta-sts-resolver. All are measured in one run, in rounds that take turns, and the median of the
// rounds is told, so that what else the machine does hits all alike.
//
//	go run ./test/bench [-quick] [-rounds N] [-idle N] [-only PART] [-just PROXY] [-self DIR]
//
// The clients and the backend are part of this program, the same for all; everything stays on
// loopback. It asserts nothing. A peer that is not on the machine is left out. What it starts it stops,
// on an interrupt too.
package main

import (
	"context"
	"flag"
	"fmt"
	"iter"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"starttls/test/peers/peer"
)

func main() {
	if serve := asChild(); serve != nil {
		os.Exit(serve(os.Args[1:]))
	}
	var o options
	flag.BoolVar(&o.quick, "quick", false, "one short round of each: rough figures")
	flag.IntVar(&o.rounds, "rounds", 0, "`N` rounds (default 5, with -quick 1)")
	flag.IntVar(&o.idle, "idle", 0, "`N` idle sessions for memory (default 10000, with -quick 1000)")
	flag.StringVar(&o.only, "only", "", "one of "+strings.Join(partNames(), ", "))
	flag.StringVar(&o.just, "just", "", "one of "+strings.Join(proxyNames, ", ")+"; all others but that of -also are left out")
	flag.StringVar(&o.self, "self", "", "run the gateway of this source in a child of this program, and put profiles of it into `DIR`")
	flag.StringVar(&o.also, "also", "", "measure this `PROGRAM` too, another build of the gateway: before and after a change")
	flag.Parse()
	if flag.NArg() > 0 || o.only != "" && !slices.Contains(partNames(), o.only) || o.just != "" && !slices.Contains(proxyNames, o.just) {
		flag.Usage()
		os.Exit(64)
	}
	if o.also != "" {
		proxyNames = append(proxyNames, also)
	}
	if o.just != "" {
		proxyNames = slices.DeleteFunc(proxyNames, func(name string) bool { return name != o.just && name != also })
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends us at once; guards and the kernel end the children
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type options struct {
	quick      bool
	rounds     int
	idle       int
	only, just string
	self       string
	also       string
}

// A bench is one run.
type bench struct {
	options
	*scope
	size  size
	until time.Time // when the part has taken long enough
	pki   *peer.PKI
	back  *backend
	build string // the gateway's program
	table table  // of proxies
	maps  table  // of policy maps
	mail  table  // of those who deliver mail
	said  map[string]bool
}

// size is how much of everything is done.
type size struct {
	sessions time.Duration // of one round of sessions
	bulk     int64         // bytes of one round of bulk
	idle     int           // connections
	trips    int           // round trips of one round
}

var (
	fullSize  = size{sessions: 1500 * time.Millisecond, bulk: 512 << 20, idle: 10_000, trips: 4000}
	quickSize = size{sessions: 500 * time.Millisecond, bulk: 96 << 20, idle: 1000, trips: 1000}
)

// parts are what can be measured, in order. On a slow machine a part ends when its time is over, with
// fewer rounds, so that the whole stays below fifteen minutes.
var parts = []struct {
	name  string
	limit time.Duration
	run   func(*bench, context.Context)
	alone bool // is run when it is asked for, and not with the others
}{
	{"sessions", 180 * time.Second, (*bench).measureSessions, false},
	{"bulk", 60 * time.Second, (*bench).measureBulk, false},
	{"latency", 30 * time.Second, (*bench).measureLatency, false},
	{"memory", 200 * time.Second, (*bench).measureMemory, false},
	{"share", 30 * time.Second, (*bench).measureShare, false},
	{"policy", 60 * time.Second, (*bench).measurePolicy, false},
	{"mail", 60 * time.Second, (*bench).measureMail, false},
	{"checkers", 10 * time.Minute, (*bench).compareCheckers, true},
}

func partNames() (names []string) {
	for _, p := range parts {
		names = append(names, p.name)
	}
	return names
}

// run measures what is asked for and prints the table.
func run(ctx context.Context, o options) (err error) {
	raiseFileLimit()
	debug.SetGCPercent(400) // of the clients: what they do is not measured
	b := &bench{
		options: o, scope: &scope{}, size: fullSize, said: map[string]bool{},
		table: table{names: proxyNames}, maps: table{names: []string{policyServe, stsResolver}},
		mail: table{names: []string{mailGateway, mailPostfix}},
	}
	if o.quick {
		b.size = quickSize
	}
	if o.idle > 0 {
		b.size.idle = o.idle
	}
	if b.rounds <= 0 {
		b.rounds = 5
		if o.quick {
			b.rounds = 1
		}
	}
	defer b.close()
	defer caught(&err)
	b.pki = peer.NewPKI(b)
	b.back = startBackend(b.scope)
	b.build = buildGateway(ctx, b)
	begun := time.Now()
	for _, p := range parts {
		if o.only == p.name || o.only == "" && !p.alone {
			b.until = time.Now().Add(p.limit)
			p.run(b, ctx)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	b.tellMachine(time.Since(begun))
	if len(b.table.rows) > 0 {
		fmt.Print(b.table.markdown(notes))
	}
	if len(b.maps.rows) > 0 {
		fmt.Print("\n", b.maps.markdown(mapNotes))
	}
	if len(b.mail.rows) > 0 {
		fmt.Print("\n", b.mail.markdown(mailNotes))
	}
	return nil
}

// counted counts the rounds of a part, as long as there is time.
func (b *bench) counted(ctx context.Context) iter.Seq[int] {
	return func(yield func(int) bool) {
		for round := range b.rounds {
			if ctx.Err() != nil || round > 0 && time.Now().After(b.until) || !yield(round) {
				return
			}
		}
	}
}

// tellMachine prints what was compared and where.
func (b *bench) tellMachine(took time.Duration) {
	fmt.Printf("%d cores (%s), %s, Linux %s; medians of up to %d rounds; %v in all\n", runtime.NumCPU(), cpuModel(), runtime.Version(), kernel(), b.rounds, took.Round(time.Second))
	for _, p := range b.table.proxies {
		fmt.Printf("%s: %s\n", p, version(p))
	}
	fmt.Println()
}

// descriptors is how many files this program and its children may open.
func descriptors() uint64 {
	var l syscall.Rlimit
	syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l)
	return l.Cur
}

// raiseFileLimit sets the limit for us and for all children: stunnel takes its own limit of clients from it.
func raiseFileLimit() {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) == nil {
		l.Cur = min(l.Max, 2*mostClients)
		syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l)
	}
}
