package peer

import (
	"cmp"
	"fmt"
	"os"
	"syscall"
)

// NginxOptions are the choices for StartNginx. Without a backend, only the
// dialogue up to the login works.
type NginxOptions struct {
	Mode Mode   // ModeRequired refuses a login before TLS
	Cert Pair   // if zero, the PKI's server certificate
	IMAP string // backend: a clear server on 127.0.0.1
	POP3 string // the same
	SMTP string // the same

	Workers     int // processes; if zero, one
	Connections int // for each worker, both legs counted; if zero, 512
}

// Nginx is a running nginx mail proxy: STARTTLS in front of clear servers, the
// same work as our gateway's. It lets every user through; the backend decides.
type Nginx struct {
	IMAP string
	POP3 string
	SMTP string
	Log  string
	PID  int // of the master; its workers are in its process group
}

const nginxMailModule = "/usr/lib/nginx/modules/ngx_mail_module.so"

// StartNginx starts a mail proxy. The HTTP server that it asks for the backend
// is part of the same process.
func StartNginx(t T, o NginxOptions) *Nginx {
	t.Helper()
	in := begin(t, "nginx", "nginx")
	if _, err := os.Stat(nginxMailModule); err != nil {
		missing(t, nginxMailModule)
	}
	a := in.addrs(4)
	n := &Nginx{IMAP: a[0], POP3: a[1], SMTP: a[2], Log: in.path("error.log")}
	in.logs = []string{n.Log}
	in.mkdir("tmp", 0o755, in.account("nobody"))
	conf := in.write("nginx.conf", nginxMain(in, n, o), nginxAuth(in, o, a[3]), nginxMail(in, n, o, a[3]))
	in.start(in.command("nginx", "-e", n.Log, "-c", conf), syscall.SIGTERM, a...)
	n.PID = in.pid
	return n
}

func nginxMain(in *instance, n *Nginx, o NginxOptions) string {
	user := ""
	if os.Geteuid() == 0 {
		user = "user nobody nogroup;"
	}
	return fmt.Sprintf(`load_module %s;
daemon off;
%s
worker_processes %d;
pid %s;
error_log %s info;
events { worker_connections %d; }`,
		nginxMailModule, user, cmp.Or(o.Workers, 1), in.path("pid"), n.Log, cmp.Or(o.Connections, 512))
}

// nginxAuth is the HTTP server: it answers every login with the backend of the
// protocol. A port of 0 stands for "no backend".
func nginxAuth(in *instance, o NginxOptions, addr string) string {
	backend := func(addr string) string {
		if addr == "" {
			return "0"
		}
		return port(addr)
	}
	tmp := in.path("tmp")
	return fmt.Sprintf(`http {
  access_log off;
  client_body_temp_path %[1]s;
  proxy_temp_path %[1]s;
  fastcgi_temp_path %[1]s;
  uwsgi_temp_path %[1]s;
  scgi_temp_path %[1]s;
  map $http_auth_protocol $backend { imap %[2]s; pop3 %[3]s; smtp %[4]s; }
  server {
    listen %[5]s;
    add_header Auth-Status OK;
    add_header Auth-Server 127.0.0.1;
    add_header Auth-Port $backend;
    location / { return 200; }
  }
}`, tmp, backend(o.IMAP), backend(o.POP3), backend(o.SMTP), addr)
}

func nginxMail(in *instance, n *Nginx, o NginxOptions, auth string) string {
	in.t.Helper()
	cert := o.Cert.or(in.t)
	starttls := [...]string{ModeTLS: "on", ModePlain: "off", ModeRequired: "only"}[o.Mode]
	return fmt.Sprintf(`mail {
  server_name mx.example.test;
  auth_http %s/;
  starttls %s;
  ssl_certificate %s;
  ssl_certificate_key %s;
  ssl_protocols TLSv1.2 TLSv1.3;
  server { listen %s; protocol imap; imap_auth plain login; }
  server { listen %s; protocol pop3; pop3_auth plain; }
  server { listen %s; protocol smtp; smtp_auth none plain; xclient off; }
}`, auth, starttls, cert.CertFile, cert.KeyFile, n.IMAP, n.POP3, n.SMTP)
}
