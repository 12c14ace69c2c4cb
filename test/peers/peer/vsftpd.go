package peer

import "syscall"

// VsftpdOptions are the choices for StartVsftpd; the zero value is fine.
type VsftpdOptions struct {
	Mode         Mode     // ModeRequired wants TLS for the login and for the data
	Cert         Pair     // if zero, the PKI's server certificate
	SessionReuse bool     // a data connection must resume the TLS session of its control connection
	Extra        []string // further lines of the configuration
}

// Vsftpd is a running FTP server. It knows anonymous alone, with any password:
// other accounts would have to be the machine's.
type Vsftpd struct {
	Addr string
	Log  string
	FileDir
}

// StartVsftpd starts the vsftpd that install.sh unpacked, or an installed one.
// Needs root.
func StartVsftpd(t T, o VsftpdOptions) *Vsftpd {
	t.Helper()
	program := needUnpacked(t, "vsftpd", "vsftpd/usr/sbin/vsftpd")
	in := begin(t, "vsftpd", program)
	needRoot(t, "vsftpd")
	who := in.account("daemon")
	v := &Vsftpd{Addr: in.addrs(1)[0], Log: in.path("vsftpd.log"), FileDir: in.fileDir(who)}
	in.logs = []string{v.Log}
	in.mkdir("empty", 0o555, account{})
	conf := in.write("vsftpd.conf", vsftpdConf(in, v, o)...)
	in.start(in.command(program, conf), syscall.SIGTERM)
	in.awaitGreeting(v.Addr)
	return v
}

func vsftpdConf(in *instance, v *Vsftpd, o VsftpdOptions) []string {
	in.t.Helper()
	cert := o.Cert.or(in.t)
	return append([]string{
		"listen=YES",
		"listen_address=127.0.0.1",
		"listen_port=" + port(v.Addr),
		"background=NO",
		"ftp_username=daemon", // a user whose home is there: it goes there first
		"nopriv_user=nobody",
		"secure_chroot_dir=" + in.path("empty"),
		"seccomp_sandbox=NO", // the list of calls is older than the C library
		"anonymous_enable=YES",
		"no_anon_password=YES",
		"local_enable=NO",
		"anon_root=" + string(v.FileDir),
		"write_enable=YES",
		"anon_upload_enable=YES",
		"anon_mkdir_write_enable=YES",
		"anon_other_write_enable=YES",
		"anon_umask=022",
		"xferlog_enable=YES",
		"vsftpd_log_file=" + v.Log,
		"log_ftp_protocol=YES",
		"ssl_enable=" + yesNo(o.Mode != ModePlain),
		"allow_anon_ssl=YES",
		"force_anon_logins_ssl=" + yesNo(o.Mode == ModeRequired),
		"force_anon_data_ssl=" + yesNo(o.Mode == ModeRequired),
		"force_local_logins_ssl=NO",
		"force_local_data_ssl=NO",
		"require_ssl_reuse=" + yesNo(o.SessionReuse),
		"ssl_ciphers=HIGH",
		"rsa_cert_file=" + cert.CertFile, // in spite of the name, of any kind
		"rsa_private_key_file=" + cert.KeyFile,
	}, o.Extra...)
}

func yesNo(yes bool) string {
	if yes {
		return "YES"
	}
	return "NO"
}
