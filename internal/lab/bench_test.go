package lab

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		l, err := Start(Config{})
		if err != nil {
			b.Fatal(err)
		}
		l.Close()
	}
}

// BenchmarkSink is how fast a server of the lab takes messages, over one session: what is measured with
// the lab behind cannot be faster.
func BenchmarkSink(b *testing.B) {
	l, err := Start(Config{Only: []string{"tls.test"}, Keep: -1})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	for _, size := range []int{10_000, 1_000_000} {
		message := strings.Repeat(strings.Repeat("x", 76)+"\r\n", size/78) + ".\r\n"
		for _, upgrade := range []bool{false, true} {
			b.Run(fmt.Sprintf("%dkB/tls=%v", size/1000, upgrade), func(b *testing.B) {
				conn, err := l.Dial(b.Context(), "tcp", net.JoinHostPort(l.hosts[1].addr.String(), "25"))
				if err != nil {
					b.Fatal(err)
				}
				defer conn.Close()
				r := bufio.NewReader(conn)
				said := func(text string, replies int) {
					io.WriteString(conn, text)
					for range replies {
						if line, err := r.ReadString('\n'); err != nil || line[0] > '3' {
							b.Fatal(line, err)
						}
					}
				}
				said("", 1)
				if upgrade {
					said("EHLO client.test\r\nSTARTTLS\r\n", 11)
					conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
					r = bufio.NewReader(conn)
				}
				said("HELO client.test\r\n", 1)
				b.SetBytes(int64(len(message)))
				for b.Loop() {
					said("MAIL FROM:<a@b.test>\r\nRCPT TO:<x@tls.test>\r\nDATA\r\n", 3)
					said(message, 1)
				}
			})
		}
	}
}

// BenchmarkResolver is how fast the lab's resolver answers, a question at a time.
func BenchmarkResolver(b *testing.B) {
	l, err := Start(Config{Only: []string{"dane-ee.test"}})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	conn, err := dns.Dial("udp", l.Resolver().String())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	q := new(dns.Msg).SetQuestion("_25._tcp.mx.dane-ee.test.", dns.TypeTLSA)
	q.SetEdns0(1232, true)
	for b.Loop() {
		if _, _, err := new(dns.Client).ExchangeWithConn(q, conn); err != nil {
			b.Fatal(err)
		}
	}
}
