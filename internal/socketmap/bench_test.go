package socketmap

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"testing"
	"time"
)

// BenchmarkServer asks for what is kept, on one connection, so many questions at once.
func BenchmarkServer(b *testing.B) {
	for _, network := range []string{"tcp", "unix"} {
		for _, atOnce := range []int{1, 16} {
			b.Run(fmt.Sprintf("%s/%d", network, atOnce), func(b *testing.B) { benchmarkServer(b, network, atOnce) })
		}
	}
}

func benchmarkServer(b *testing.B, network string, atOnce int) {
	p := &Policies{Plan: (&plans{plan: goodFor(time.Hour, inSTS("mx1.example.com"), enforce)}).make}
	defer p.Close()
	address := map[string]string{"tcp": "127.0.0.1:0", "unix": b.TempDir() + "/s"}[network]
	ln, err := net.Listen(network, address)
	if err != nil {
		b.Fatal(err)
	}
	go (&Server{Answerer: p}).Serve(b.Context(), ln)
	conn, err := net.Dial(network, ln.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	ask := bytes.Repeat([]byte("19:postfix example.com,"), atOnce)
	want := bytes.Repeat([]byte(fmt.Sprintf("%d:%s,", len(stsText), stsText)), atOnce)
	got, r := make([]byte, len(want)), bufio.NewReader(conn)
	for b.Loop() {
		conn.Write(ask)
		if _, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, want) {
			b.Fatalf("%q, %v", got, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*atOnce), "ns/question")
}
