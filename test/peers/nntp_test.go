package peers

import (
	"testing"

	"starttls/test/peers/peer"
)

// readNews logs in and reads the article, after STARTTLS or without. With a fifth word it posts first.
const readNews = `
import sys, ssl, warnings
warnings.simplefilter("ignore")
import nntplib
port, ca, user, password, article, post = sys.argv[1:]
c = nntplib.NNTP("localhost", int(port), timeout=15)
if ca: c.starttls(ssl.create_default_context(cafile=ca))
if not post: print(c.help())
c.login(user, password)
if post: c.post(("From: joe@example.test\r\nNewsgroups: misc.test\r\nSubject: first\r\nMessage-ID: %s\r\n\r\nHello, news.\r\n" % article).encode())
c.group("misc.test")
print(b"\n".join(c.article(article)[1].lines).decode())
c.quit()
`

// news reads the article; ca is "" for a client without TLS.
func news(port, ca, article, post string) client {
	return cmd("/usr/bin/python3", "-c", readNews, port, ca, peer.User, peer.Password, article, post)
}

const hello = "Hello, news."

// newsInFront has clients with TLS read news of a server without, and refuses the others.
func newsInFront(t *testing.T, pki *peer.PKI, addr string, article, post string) {
	t.Helper()
	g := begin(t, pki, "nntp://127.0.0.1:0", "nntp://"+addr)
	upgrades(t, pki, g, "nntp", "")
	news(g.Port, pki.CAFile, article, post).works(t, hello)
	news(g.Port, "", article, "").works(t, hello)
	g.logged("outcome=tls", "dialect=nntp")
	g.logged("outcome=clear", "dialect=nntp")
	g.quiet()

	g = begin(t, pki, "nntp://127.0.0.1:0?tls=encrypt", "nntp://"+addr)
	news(g.Port, pki.CAFile, article, "").works(t, hello)
	news(g.Port, "", article, "").fails(t, "483 Encryption or stronger authentication required")
	c := dialLines(t, g.Addr)
	c.until("20")
	c.say("GROUP misc.test\r\n")
	c.until("483 Encryption or stronger authentication required")
	c.say("QUIT\r\n")
	c.until("205 ")
	c.ended()
	g.logged("outcome=refused", "dialect=nntp")
}

// newsBehind has clients without TLS read news of a server with it.
func newsBehind(t *testing.T, pki *peer.PKI, addr string, article, post string) {
	t.Helper()
	g := begin(t, pki, "nntp://127.0.0.1:0?tls=none", "nntp://"+addr+"?tls=secure", "--ca", pki.CAFile)
	news(g.Port, "", article, post).works(t, hello)
	g.logged("back_tls=\"TLS 1.3\"", "outcome=clear")
	g.quiet()
}

func TestINNGetsTLSInFront(t *testing.T) {
	t.Parallel()
	server := peer.StartINN(t, peer.INNOptions{Mode: peer.ModePlain})
	newsInFront(t, peer.NewPKI(t), server.Addr, peer.NewsArticle, "")
}

func TestINNBehindAClientWithoutTLS(t *testing.T) {
	t.Parallel()
	for _, mode := range []peer.Mode{peer.ModeTLS, peer.ModeRequired} {
		t.Run(mode.String(), func(t *testing.T) {
			server := peer.StartINN(t, peer.INNOptions{Mode: mode})
			newsBehind(t, peer.NewPKI(t), server.Addr, peer.NewsArticle, "")
		})
	}
}

// cyrusNews is a Cyrus with the news group, which has no article yet.
func cyrusNews(t *testing.T, pki *peer.PKI, mode peer.Mode) *peer.Cyrus {
	t.Helper()
	server := peer.StartCyrus(t, peer.CyrusOptions{Mode: mode, Extra: []string{"admins: " + peer.User}})
	box := "imap://localhost:" + server.IMAP[len("127.0.0.1:"):]
	for _, command := range []string{"CREATE news/misc/test", "SETACL news/misc/test anyone lrsp"} {
		if mode == peer.ModePlain {
			curl(pki, box, "-X", command).works(t, " OK ")
		} else {
			curl(pki, box, "--ssl-reqd", "-X", command).works(t, " OK ")
		}
	}
	return server
}

const posted = "<posted@news.example.test>"

func TestCyrusNewsGetsTLSInFront(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	newsInFront(t, pki, cyrusNews(t, pki, peer.ModePlain).NNTP, posted, "post")
}

func TestCyrusNewsBehindAClientWithoutTLS(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	newsBehind(t, pki, cyrusNews(t, pki, peer.ModeTLS).NNTP, posted, "post")
}
