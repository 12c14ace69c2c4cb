package peer

import (
	"path/filepath"
	"syscall"
	"time"
)

// StartRabbitMQ starts a message broker in the clear that speaks AMQP 1.0 and knows User. It has TLS of
// its own on a port alone, and not in-band, as all brokers. It returns its address.
func StartRabbitMQ(t T) (addr string) {
	t.Helper()
	in := begin(t, "rabbitmq", "erl")
	const server = "usr/lib/rabbitmq/lib/rabbitmq_server-3.10.8/sbin/rabbitmq-server"
	program := needUnpacked(t, "/"+server, "rabbitmq/"+server)
	in.limit = 2 * time.Minute // it is six seconds of work for an idle machine
	a := in.addrs(3)
	conf := in.write("rabbitmq.conf",
		"listeners.tcp.default = "+a[0],
		"default_user = "+User,
		"default_pass = "+Password,
		"log.console = true",
		"log.file = false")
	// Its names are looked up in an epmd of its own, which ends with it.
	const script = `epmd -address 127.0.0.1 -port "$ERL_EPMD_PORT" & exec "$0"`
	cmd := in.command("sh", "-c", script, program)
	cmd.Env = environ("HOME="+in.dir,
		"ERL_LIBS="+filepath.Join(cacheDir(), "roots", "rabbitmq", "usr", "lib", "erlang", "lib"),
		"ERL_EPMD_ADDRESS=127.0.0.1", "ERL_EPMD_PORT="+port(a[1]),
		"RABBITMQ_NODENAME=peer@localhost",
		"RABBITMQ_DIST_PORT="+port(a[2]),
		"RABBITMQ_CONFIG_FILE="+conf,
		"RABBITMQ_ENABLED_PLUGINS_FILE="+in.write("plugins", "[rabbitmq_amqp1_0]."),
		"RABBITMQ_MNESIA_BASE="+in.path("mnesia"),
		"RABBITMQ_LOG_BASE="+in.path("logs"),
		"RABBITMQ_PID_FILE="+in.path("pid"),
		"RABBITMQ_GENERATED_CONFIG_DIR="+in.path("conf"),
		"RUNNING_UNDER_SYSTEMD=yes", // no shell in between
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=+S 1 +sbwt none")
	in.start(cmd, syscall.SIGTERM, a[0])
	in.awaitLog("Server startup complete")
	return a[0]
}
