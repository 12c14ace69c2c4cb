package dane

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"starttls/dane/danetest"
)

// TestOpenSSL holds the table of certificates against OpenSSL's verdict.
func TestOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("no openssl: ", err)
	}
	for _, r := range rows(t) {
		t.Run(r.name, func(t *testing.T) {
			s := serve(t, &tls.Config{Certificates: []tls.Certificate{danetest.Server(r.chain...)}})
			var out []byte
			let := false
			for _, name := range r.references() { // s_client knows one name at a time
				if let {
					break
				}
				args := []string{"s_client", "-connect", s.addr, "-servername", name, "-brief",
					"-dane_tlsa_domain", name, "-dane_ee_no_namechecks", "-verify_return_error",
					"-no-CAfile", "-no-CApath", "-no-CAstore", "-attime", fmt.Sprint(danetest.Now.Unix())}
				for _, record := range r.records {
					args = append(args, "-dane_tlsa_rrdata", record.String())
				}
				cmd := exec.CommandContext(t.Context(), openssl, args...)
				cmd.Stdin = bytes.NewReader(nil)
				out, err = cmd.CombinedOutput()
				let = err == nil
			}
			if agrees := let == (r.want == ""); agrees != (r.openssl == "") {
				t.Errorf("OpenSSL lets it in: %v; our verdict %q; a difference is told: %q\n%s", let, r.want, r.openssl, out)
			}
		})
	}
}
