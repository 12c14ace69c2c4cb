// Command mysqld is a server with MySQL 8's caching_sha2_password, made of another's library: it knows the
// user joe with the password secret, wants full authentication the first time, and answers every query with
// one row. Its argument is the address.
package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log"
	"math/big"
	"net"
	"os"
	"time"

	"github.com/siddontang/go-mysql/mysql"
	"github.com/siddontang/go-mysql/server"
)

// users keeps the passwords. It is a type of its own: with its own one the library never asks for full
// authentication.
type users struct{ *server.InMemoryProvider }

// answers is what the server knows.
type answers struct{ server.EmptyHandler }

func (answers) HandleQuery(string) (*mysql.Result, error) {
	rows, err := mysql.BuildSimpleTextResultset([]string{"answer"}, [][]interface{}{{"six by seven is 42"}})
	return &mysql.Result{Status: mysql.SERVER_STATUS_AUTOCOMMIT, Resultset: rows}, err
}

func main() {
	log.SetFlags(0)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	check(err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour), DNSNames: []string{"localhost"}}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	check(err)
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	check(err)
	known := users{server.NewInMemoryProvider()}
	known.AddUser("joe", "secret")
	ln, err := net.Listen("tcp", os.Args[1])
	check(err)
	conf := server.NewServer("8.0.12", mysql.DEFAULT_COLLATION_ID, mysql.AUTH_CACHING_SHA2_PASSWORD,
		pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}),
		&tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert}, PrivateKey: key}}})
	for {
		conn, err := ln.Accept()
		check(err)
		go serve(conn, conf, known)
	}
}

func serve(conn net.Conn, conf *server.Server, known users) {
	c, err := server.NewCustomizedConn(conn, conf, known, answers{})
	for err == nil && !c.Closed() {
		err = c.HandleCommand()
	}
	conn.Close()
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
