package peer

import (
	"fmt"
	"os"
	"syscall"
)

// ProFTPDOptions are the choices for StartProFTPD; the zero value is fine.
type ProFTPDOptions struct {
	Mode         Mode     // ModeRequired wants TLS for the login and for the data
	Cert         Pair     // if zero, the PKI's server certificate
	SessionReuse bool     // a data connection must resume the TLS session of its control connection
	Extra        []string // further lines of the configuration
}

// ProFTPD is a running FTP server: User with Password, and anonymous with any.
type ProFTPD struct {
	Addr string
	Log  string
	FileDir
}

// StartProFTPD starts an FTP server. Needs root.
func StartProFTPD(t T, o ProFTPDOptions) *ProFTPD {
	t.Helper()
	in := begin(t, "proftpd", "proftpd")
	needRoot(t, "proftpd")
	nobody := in.account("nobody")
	p := &ProFTPD{Addr: in.addrs(1)[0], Log: in.path("proftpd.log"), FileDir: in.fileDir(nobody)}
	in.logs = []string{p.Log, in.path("tls.log")}
	entry := fmt.Sprintf("%s:%d:%d::%s:/bin/sh", passwordHash, nobody.uid, nobody.gid, p.FileDir)
	users := in.write("passwd", User+":"+entry, "ftp:"+entry)
	in.fatal(os.Chmod(users, 0o600)) // it reads no other
	conf := in.write("proftpd.conf", proftpdConf(in, p, o, users)...)
	in.start(in.command("proftpd", "-n", "-c", conf), syscall.SIGTERM)
	in.awaitGreeting(p.Addr)
	return p
}

func proftpdConf(in *instance, p *ProFTPD, o ProFTPDOptions, users string) []string {
	in.t.Helper()
	var conf []string
	if o.Mode != ModePlain {
		conf = append(conf, "LoadModule mod_tls.c") // must come before its settings
	}
	conf = append(conf,
		"ServerName peer",
		"ServerType standalone",
		"DefaultAddress 127.0.0.1",
		"SocketBindTight on",
		"UseIPv6 off",
		"Port "+port(p.Addr),
		"User nobody",
		"Group nogroup",
		"PidFile "+in.path("pid"),
		"ScoreboardFile "+in.path("scoreboard"),
		"DelayTable none",
		"SystemLog "+p.Log,
		"TransferLog none",
		"WtmpLog off",
		"UseReverseDNS off",
		"AuthOrder mod_auth_file.c",
		"AuthUserFile "+users,
		"RequireValidShell off",
		"DefaultRoot "+string(p.FileDir),
		"AllowOverwrite on",
	)
	if o.Mode != ModePlain {
		conf = append(conf, proftpdTLS(in, o)...)
	}
	conf = append(conf, o.Extra...)
	return append(conf,
		"<Anonymous "+string(p.FileDir)+">",
		"  User ftp",
		"  UserAlias anonymous ftp",
		"</Anonymous>")
}

func proftpdTLS(in *instance, o ProFTPDOptions) []string {
	in.t.Helper()
	cert := o.Cert.or(in.t)
	kind := "EC"
	if isRSA(cert) {
		kind = "RSA"
	}
	required := map[Mode]string{ModeTLS: "off", ModeRequired: "on"}[o.Mode]
	conf := []string{
		"TLSEngine on",
		"TLSLog " + in.path("tls.log"),
		"TLSProtocol TLSv1.2 TLSv1.3",
		"TLS" + kind + "CertificateFile " + cert.CertFile,
		"TLS" + kind + "CertificateKeyFile " + in.privateKey(cert, account{}),
		"TLSRequired " + required,
		"TLSVerifyClient off",
	}
	if !o.SessionReuse {
		conf = append(conf, "TLSOptions NoSessionReuseRequired")
	}
	return conf
}
