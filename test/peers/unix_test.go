package peers

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"starttls/test/peers/peer"
)

// socketDir is a folder that servers of other users can make sockets in, with a short name.
func socketDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "starttls-sockets-")
	if err == nil {
		err = os.Chmod(dir, 0o777)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestDatabasesOnUnixSocketsGetTLSInFront(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	dir := socketDir(t)
	p := peer.StartPostgres(t, peer.PostgresOptions{Mode: peer.ModePlain, Settings: []string{"unix_socket_directories=" + dir}})
	_, port, _ := net.SplitHostPort(p.Addr)
	g := begin(t, pki, "postgres://127.0.0.1:0?tls=encrypt", "postgres+unix:"+filepath.Join(dir, ".s.PGSQL."+port))
	psql(pki, g.Host, "sslmode=verify-full").works(t, "42")
	g.quiet()

	socket := filepath.Join(dir, "mariadb")
	peer.StartMariaDB(t, peer.MariaDBOptions{Mode: peer.ModePlain, Settings: []string{"socket=" + socket,
		"init-connect=", "skip-grant-tables"}}) // its user is one of 127.0.0.1 alone
	g = begin(t, pki, "mysql://127.0.0.1:0?tls=encrypt", "mysql+unix:"+socket)
	mariadb(pki, g.Host, "--ssl-verify-server-cert").works(t, "six by seven is 42")
	g.quiet()
}

func TestListenerOnAUnixSocket(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	dir := socketDir(t)
	p := peer.StartPostgres(t, peer.PostgresOptions{})
	socket := filepath.Join(dir, ".s.PGSQL.5432")
	g := begin(t, pki, "postgres+unix:"+socket+"?tls=none", "postgres://"+p.Addr+"?tls=secure", "--ca", pki.CAFile)
	psql(pki, dir, "").works(t, "42")
	g.logged("outcome=clear", "back_tls=")
	g.quiet()
}
