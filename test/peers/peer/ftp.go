package peer

import (
	"os"
	"path/filepath"
)

// passwordHash is Password as crypt(3) stores it, for password files.
const passwordHash = "$6$starttls$1zdOeQvX6ew.Y0T8MO7n1wtXNypBidElOuxI5.h3HjHetCIaWYOcNIACJXuU5USNw3r0YcTsmrEpXEw2.Wjhh."

// FileDir is a folder that an FTP server serves. It holds hello.txt, and the
// folder incoming, where who has logged in may put files.
type FileDir string

// Incoming returns the content of a file that a client has put into incoming,
// "" if there is none.
func (d FileDir) Incoming(name string) string {
	text, _ := os.ReadFile(filepath.Join(string(d), "incoming", name))
	return string(text)
}

// fileDir makes such a folder. vsftpd wants its top not to be writable.
func (in *instance) fileDir(owner account) FileDir {
	in.t.Helper()
	dir := in.mkdir("files", 0o755, account{})
	in.mkdir("files/incoming", 0o755, owner)
	in.write("files/hello.txt", "hello from the server")
	return FileDir(dir)
}
