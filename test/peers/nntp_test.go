package peers

import (
	"strings"
	"testing"

	"starttls/test/peers/peer"
)

// readNews logs in and reads the article, after STARTTLS or without.
const readNews = `
import sys, ssl, warnings
warnings.simplefilter("ignore")
import nntplib
port, ca, user, password, article = sys.argv[1:]
c = nntplib.NNTP("localhost", int(port), timeout=15)
if ca: c.starttls(ssl.create_default_context(cafile=ca))
c.login(user, password)
c.group("misc.test")
print(b"\n".join(c.article(article)[1].lines).decode())
c.quit()
`

// news reads the article; ca is "" for a client without TLS.
func news(port, ca, article string) client {
	return cmd("/usr/bin/python3", "-c", readNews, port, ca, peer.User, peer.Password, article)
}

const hello = "Hello, news."

// newsInFront has clients with TLS read news of a server without, and refuses the others.
func newsInFront(t *testing.T, pki *peer.PKI, addr, article string) {
	t.Helper()
	g := begin(t, pki, "nntp://127.0.0.1:0", "nntp://"+addr)
	upgrades(t, pki, g, "nntp", "")
	news(g.Port, pki.CAFile, article).works(t, hello)
	news(g.Port, "", article).works(t, hello)
	g.logged("outcome=tls", "dialect=nntp")
	g.logged("outcome=clear", "dialect=nntp")
	g.quiet()

	g = begin(t, pki, "nntp://127.0.0.1:0?tls=encrypt", "nntp://"+addr)
	news(g.Port, pki.CAFile, article).works(t, hello)
	news(g.Port, "", article).fails(t, "483 Encryption or stronger authentication required")
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
func newsBehind(t *testing.T, pki *peer.PKI, addr, article string) {
	t.Helper()
	g := begin(t, pki, "nntp://127.0.0.1:0?tls=none", "nntp://"+addr+"?tls=secure", "--ca", pki.CAFile)
	news(g.Port, "", article).works(t, hello)
	g.logged("back_tls=\"TLS 1.3\"", "outcome=clear")
	g.quiet()
}

func TestINNGetsTLSInFront(t *testing.T) {
	t.Parallel()
	server := peer.StartINN(t, peer.INNOptions{Mode: peer.ModePlain})
	newsInFront(t, peer.NewPKI(t), server.Addr, peer.NewsArticle)
}

func TestINNBehindAClientWithoutTLS(t *testing.T) {
	t.Parallel()
	for _, mode := range []peer.Mode{peer.ModeTLS, peer.ModeRequired} {
		t.Run(mode.String(), func(t *testing.T) {
			server := peer.StartINN(t, peer.INNOptions{Mode: mode})
			newsBehind(t, peer.NewPKI(t), server.Addr, peer.NewsArticle)
		})
	}
}

// cyrusNews is a Cyrus with the news group, which has one article.
func cyrusNews(t *testing.T, pki *peer.PKI, mode peer.Mode) *peer.Cyrus {
	t.Helper()
	server := peer.StartCyrus(t, peer.CyrusOptions{Mode: mode, Extra: []string{"admins: " + peer.User}})
	root := "imap://localhost:" + server.IMAP[strings.LastIndex(server.IMAP, ":")+1:] + "/"
	imap := func(path string, more ...string) {
		t.Helper()
		if mode != peer.ModePlain {
			more = append(more, "--ssl-reqd")
		}
		curl(pki, root+path, more...).works(t, " OK ")
	}
	article := private(t, t.TempDir(), "article", strings.ReplaceAll("From: joe@example.test\nNewsgroups: misc.test\n"+
		"Subject: first\nMessage-ID: <first@cyrus.example.test>\nDate: Mon, 1 Jan 2024 12:00:00 +0000\n\nHello, news.\n", "\n", "\r\n"))
	imap("", "-X", "CREATE news/misc/test")
	imap("", "-X", "SETACL news/misc/test anyone lrsip")
	imap("news%2Fmisc%2Ftest", "-T", article)
	return server
}

// The first article of the group, by its number.
const firstNews = "1"

func TestCyrusNewsGetsTLSInFront(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	newsInFront(t, pki, cyrusNews(t, pki, peer.ModePlain).NNTP, firstNews)
}

func TestCyrusNewsBehindAClientWithoutTLS(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	newsBehind(t, pki, cyrusNews(t, pki, peer.ModeTLS).NNTP, firstNews)
}
