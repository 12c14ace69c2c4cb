package peer

import (
	"path/filepath"
	"syscall"
)

// INNOptions are the choices for StartINN; the zero value is fine.
type INNOptions struct {
	Mode Mode // ModeRequired answers 483 before STARTTLS
	Cert Pair // if zero, the PKI's server certificate
}

// NewsGroup is the group of a StartINN, and NewsArticle the identity of the one
// article in it.
const (
	NewsGroup   = "misc.test"
	NewsArticle = "<first@news.example.test>"
)

// INN is a running nnrpd, the part of INN that readers talk to. There is no
// innd behind it, so it takes no articles. User may log in; nobody must.
type INN struct {
	Addr string
	Log  string
}

// StartINN starts the nnrpd that install.sh unpacked, or an installed one. As
// root it runs as the system user news.
func StartINN(t T, o INNOptions) *INN {
	t.Helper()
	program := needUnpacked(t, "/usr/lib/news/bin/nnrpd", "inn2/usr/lib/news/bin/nnrpd")
	in := begin(t, "inn", program)
	news := in.account("news")
	n := &INN{Addr: in.addrs(1)[0], Log: in.log}
	bin := filepath.Dir(program)
	env := environ("INNCONF="+in.write("inn.conf", innConf(in, o, bin, news)...), "LD_LIBRARY_PATH="+filepath.Dir(bin))
	readers := innFiles(in, o, bin, news)
	index := as(in.command(filepath.Join(bin, "makehistory"), "-O"), news)
	index.Env = env
	in.run(index)
	server := as(in.command(program, "-D", "-f", "-4", "127.0.0.1", "-p", port(n.Addr), "-c", readers), news)
	server.Env = env
	in.start(server, syscall.SIGTERM, n.Addr)
	in.awaitGreeting(n.Addr)
	return n
}

// innFiles makes the storage and who may read it, and returns the latter.
func innFiles(in *instance, o INNOptions, bin string, news account) string {
	in.t.Helper()
	for _, dir := range []string{"db", "run", "logs", "tmp", "spool", "spool/overview", "spool/articles",
		"spool/articles/misc", "spool/articles/misc/test"} {
		in.mkdir(dir, 0o755, news)
	}
	in.write("spool/articles/misc/test/1",
		"Path: news.example.test!not-for-mail",
		"From: Joe <joe@example.test>",
		"Newsgroups: "+NewsGroup,
		"Subject: first article",
		"Date: Mon, 01 Jan 2024 00:00:00 +0000",
		"Message-ID: "+NewsArticle,
		"Xref: news.example.test "+NewsGroup+":1",
		"Lines: 1",
		"",
		"Hello, news.")
	in.write("db/active", NewsGroup+" 0000000001 0000000001 y",
		"control 0000000000 0000000001 n", "junk 0000000000 0000000001 n")
	in.write("db/active.times", NewsGroup+" 0 peer")
	in.write("db/newsgroups", NewsGroup+"\ttesting")
	in.write("storage.conf", "method tradspool {", "    newsgroups: *", "    class: 0", "}")
	in.write("expire.ctl", "*:A:never:never:never")
	in.write("passwd", User+":"+passwordHash)

	readers := []string{`auth "all" {`, `    hosts: "*"`, `    default: "anybody"`,
		`    auth: "` + bin + `/auth/passwd/ckpasswd -f ` + in.path("passwd") + `"`}
	if o.Mode == ModeRequired {
		readers = append(readers, "    require_encryption: true")
	}
	return in.write("readers.conf", append(readers, "}",
		`access "all" {`, `    users: "*"`, `    newsgroups: "*"`, `    access: R`, "}")...)
}

func innConf(in *instance, o INNOptions, bin string, news account) []string {
	in.t.Helper()
	conf := []string{
		"organization: peer",
		"mta: /bin/true",
		"nnrpdloadlimit: 0", // readers are served however busy the machine is
		"domain: example.test",
		"pathhost: news.example.test",
		"fromhost: news.example.test",
		"hismethod: hisv6",
		"ovmethod: tradindexed",
		"enableoverview: true",
		"pathnews: " + filepath.Dir(bin),
		"pathbin: " + bin,
		"pathetc: " + in.dir,
		"pathdb: " + in.path("db"),
		"pathrun: " + in.path("run"),
		"pathlog: " + in.path("logs"),
		"pathhttp: " + in.path("logs"),
		"pathtmp: " + in.path("tmp"),
		"pathspool: " + in.path("spool"),
		"patharticles: " + in.path("spool", "articles"),
		"pathoverview: " + in.path("spool", "overview"),
	}
	if o.Mode != ModePlain {
		cert := o.Cert.or(in.t)
		conf = append(conf, "tlscertfile: "+cert.CertFile, "tlskeyfile: "+in.privateKey(cert, news))
	}
	return conf
}
