package dane_test

import (
	"context"
	"crypto/tls"
	"fmt"

	"starttls/dane"
	"starttls/resolver/dnstest"
)

// In earnest the resolver is a resolver.Validator.
func Example() {
	names := dnstest.New(`
		mx.example.net          CNAME host.example.org
		host.example.org        A     192.0.2.1
		_25._tcp.mx.example.net TLSA  3 1 1 8d02536c887482bc34ff54e41d2ba659bf85b341a0a20afadb5813dcfbcf286d
		_25._tcp.mx.example.net TLSA  1 1 1 8d02536c887482bc34ff54e41d2ba659bf85b341a0a20afadb5813dcfbcf286d`)
	found := dane.Lookup(context.Background(), names, "mx.example.net", 25)
	fmt.Println(found.Outcome, found.Addrs, "as", found.Base)
	for _, d := range found.Dropped {
		fmt.Println("does not count:", d.Why)
	}
	var config *tls.Config
	if found.Outcome == dane.Usable {
		config = dane.Config(nil, found.Records, []string{found.Base, "example.net"})
	}
	fmt.Println("SNI", config.ServerName)
	// Output:
	// usable [192.0.2.1] as mx.example.net
	// does not count: usage 1 is not for mail
	// SNI mx.example.net
}
