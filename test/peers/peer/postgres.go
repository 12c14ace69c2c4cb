package peer

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// PostgresOptions are the choices for StartPostgres; the zero value is fine.
type PostgresOptions struct {
	Mode Mode // ModePlain answers SSLRequest with N; ModeRequired lets nobody in without TLS
	Cert Pair // if zero, the PKI's server certificate

	// Auth is the method of pg_hba.conf: "scram-sha-256" (if empty),
	// "password", "trust". libpq refuses SCRAM when a gateway added TLS on
	// the way to a server with TLS: it is offered a channel binding that it
	// cannot have. Then use "password".
	Auth string

	Settings []string // further "name=value" settings
}

// Postgres is a running PostgreSQL server: superuser User with Password,
// database postgres.
type Postgres struct {
	Addr string
	Log  string

	in  *instance
	run func() // starts it
}

// Kill ends it and all of its sessions at once, as a machine does that loses its power.
func (p *Postgres) Kill() { p.in.stop(syscall.SIGQUIT) }

// Restart starts it again with its data, at the same address.
func (p *Postgres) Restart() { p.run() }

// StartPostgres starts a PostgreSQL server. As root it runs as the system user
// postgres: it refuses root.
func StartPostgres(t T, o PostgresOptions) *Postgres {
	t.Helper()
	in := begin(t, "postgres", "postgres", "initdb")
	who := in.account("postgres")
	p := &Postgres{Addr: in.addrs(1)[0], Log: in.log, in: in}
	in.write("password", Password) // found by initdb in the working directory
	data := in.fromBase("data", who, in.command("postgres", "--version"), func(dir string) *exec.Cmd {
		return as(in.command("initdb", "-U", User, "--pwfile=password", "-A", "scram-sha-256",
			"--locale=C", "-E", "UTF8", "--no-sync", "-D", dir), who)
	})
	in.write("data/pg_hba.conf", postgresAccess(o))

	args := []string{"-D", data}
	for _, s := range postgresSettings(in, o, p, who) {
		args = append(args, "-c", s)
	}
	// INT is the fast stop: TERM would wait for clients to leave.
	p.run = func() { in.start(as(in.command("postgres", args...), who), syscall.SIGINT, p.Addr) }
	p.run()
	in.awaitLog("database system is ready to accept connections")
	return p
}

// postgresAccess is pg_hba.conf: who may come, and how they must prove it.
func postgresAccess(o PostgresOptions) string {
	kind, auth := "host", o.Auth
	if o.Mode == ModeRequired {
		kind = "hostssl"
	}
	if auth == "" {
		auth = "scram-sha-256"
	}
	lines := []string{kind + " all all 127.0.0.1/32 " + auth}
	if o.Mode != ModeRequired { // where Settings ask for a unix socket
		lines = append(lines, "local all all "+auth)
	}
	return strings.Join(lines, "\n")
}

func postgresSettings(in *instance, o PostgresOptions, p *Postgres, who account) []string {
	in.t.Helper()
	settings := []string{
		"listen_addresses=127.0.0.1",
		"port=" + port(p.Addr),
		"unix_socket_directories=",
		"log_connections=on",
		"shared_buffers=16MB",
		"fsync=off",
		"full_page_writes=off",
		"synchronous_commit=off",
	}
	if o.Mode != ModePlain {
		cert := o.Cert.or(in.t)
		settings = append(settings, "ssl=on", "ssl_cert_file="+cert.CertFile, "ssl_key_file="+in.privateKey(cert, who))
	}
	return append(settings, o.Settings...)
}

// privateKey copies the pair's key for servers that refuse one that others may
// read, and returns the copy's path.
func (in *instance) privateKey(p Pair, owner account) string {
	in.t.Helper()
	path := in.path("private.key")
	key, err := os.ReadFile(p.KeyFile)
	in.fatal(err)
	in.fatal(os.WriteFile(path, key, 0o600))
	in.chown(path, owner)
	return path
}
