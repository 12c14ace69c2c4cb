// Command starttls puts TLS on protocols that were born without it. See "starttls --help".
package main

import (
	"os"

	"starttls/internal/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
