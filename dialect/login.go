package dialect

import "encoding/base64"

// How clients log in, for Dialect.Login.

func smtpLogin(user, password string) []string {
	return []string{"AUTH PLAIN " + saslPlain(user, password) + "\r\n"}
}

func imapLogin(user, password string) []string {
	return []string{"v LOGIN " + quote(user) + " " + quote(password) + "\r\n"}
}

func sieveLogin(user, password string) []string {
	return []string{"AUTHENTICATE \"PLAIN\" " + quote(saslPlain(user, password)) + "\r\n"}
}

func nntpLogin(user, password string) []string {
	return []string{"AUTHINFO USER " + user + "\r\n", "AUTHINFO PASS " + password + "\r\n"}
}

// userPass is that of POP3 and FTP.
func userPass(user, password string) []string {
	return []string{"USER " + user + "\r\n", "PASS " + password + "\r\n"}
}

// saslPlain is a whole login by the mechanism PLAIN (RFC 4616 §2), as protocols of lines carry it.
func saslPlain(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password))
}
