package peer

import (
	"os/exec"
	"syscall"
)

// MariaDBOptions are the choices for StartMariaDB; the zero value is fine.
type MariaDBOptions struct {
	Mode     Mode     // ModePlain: no CLIENT_SSL in the greeting; ModeRequired: require_secure_transport
	Cert     Pair     // if zero, the PKI's server certificate
	Settings []string // further lines of the [mariadbd] section
}

// MariaDB is a running MariaDB server: User with Password may do anything.
type MariaDB struct {
	Addr string
	Log  string
}

// StartMariaDB starts a MariaDB server. As root it runs as the system user
// mysql.
func StartMariaDB(t T, o MariaDBOptions) *MariaDB {
	t.Helper()
	in := begin(t, "mariadb", "mariadbd", "mariadb-install-db")
	who := in.account("mysql")
	m := &MariaDB{Addr: in.addrs(1)[0], Log: in.log}
	in.mkdir("run", 0o755, who)
	data := in.fromBase("data", who, in.command("mariadbd", "--version"), func(dir string) *exec.Cmd {
		return as(in.command("mariadb-install-db", append([]string{"--no-defaults", "--skip-test-db",
			"--auth-root-authentication-method=normal", "--datadir=" + dir}, mariadbSmall...)...), who)
	})

	conf := []string{
		"[mariadbd]",
		"datadir=" + data,
		"socket=" + in.path("run", "sock"),
		"pid-file=" + in.path("run", "pid"),
		"bind-address=127.0.0.1",
		"port=" + port(m.Addr),
		"skip-name-resolve",
		"init-file=" + in.write("init.sql",
			"create user if not exists '"+User+"'@'127.0.0.1' identified by '"+Password+"';",
			"grant all on *.* to '"+User+"'@'127.0.0.1';"),
	}
	if o.Mode == ModePlain {
		conf = append(conf, "skip-ssl")
	} else {
		cert := o.Cert.or(t)
		conf = append(conf, "ssl-cert="+cert.CertFile, "ssl-key="+cert.KeyFile)
	}
	if o.Mode == ModeRequired {
		conf = append(conf, "require_secure_transport=ON")
	}
	file := in.write("my.cnf", append(conf, o.Settings...)...)
	cmd := in.command("mariadbd", append([]string{"--defaults-file=" + file}, mariadbSmall...)...)
	in.start(as(cmd, who), syscall.SIGTERM, m.Addr)
	in.awaitGreeting(m.Addr)
	return m
}

// mariadbSmall are settings that keep the files small, which is most of the time that a start
// takes, and give up the safety that a test does not need.
var mariadbSmall = []string{
	"--innodb-buffer-pool-size=16M",
	"--innodb-log-file-size=8M",
	"--innodb-flush-log-at-trx-commit=0",
	"--innodb-doublewrite=0",
	"--innodb-use-native-aio=0", // not every kernel lets a user have it
}
