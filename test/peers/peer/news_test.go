package peer_test

import (
	"testing"

	"starttls/test/peers/peer"
)

// readNews logs in and reads the article, after STARTTLS or without.
const readNews = `
import sys, ssl, warnings
warnings.simplefilter("ignore")
import nntplib
port, ca, user, password, article = sys.argv[1:]
c = nntplib.NNTP("localhost", int(port), timeout=10)
if ca: c.starttls(ssl.create_default_context(cafile=ca))
c.login(user, password)
c.group("misc.test")
print(b"\n".join(c.article(article)[1].lines).decode())
c.quit()
`

func TestINN(t *testing.T) {
	for _, mode := range []peer.Mode{peer.ModeTLS, peer.ModePlain, peer.ModeRequired} {
		serve(t, mode.String(), func(t *testing.T) (string, []string) {
			pki := peer.NewPKI(t)
			n := peer.StartINN(t, peer.INNOptions{Mode: mode})
			read := func(ca string) []string {
				return []string{"-c", readNews, portOf(n.Addr), ca, peer.User, peer.Password, peer.NewsArticle}
			}
			if mode == peer.ModePlain {
				refused(t, nil, "/usr/bin/python3", read(pki.CAFile)...)
			} else {
				client(t, "Hello, news.", nil, "/usr/bin/python3", read(pki.CAFile)...)
				upgrade(t, pki, n.Addr, "nntp")
			}
			if mode == peer.ModeRequired {
				refused(t, nil, "/usr/bin/python3", read("")...)
			} else {
				client(t, "Hello, news.", nil, "/usr/bin/python3", read("")...)
			}
			return n.Log, []string{n.Addr}
		})
	}
}
