// Man writes the manual pages of all commands into the folder that is its argument. The text is that of
// --help, which is laid out already: nothing is filled or joined.
package main

import (
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"starttls/internal/cli"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: man FOLDER")
	}
	root := cli.Command()
	root.InitDefaultCompletionCmd()
	if err := write(root, os.Args[1], date()); err != nil {
		log.Fatal(err)
	}
}

// date is that of the sources, so that the same sources make the same pages.
func date() string {
	seconds, _ := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	return time.Unix(seconds, 0).UTC().Format(time.DateOnly)
}

// write writes the pages of a command and of those below it.
func write(cmd *cobra.Command, dir, date string) error {
	if !cmd.IsAvailableCommand() && cmd.HasParent() || cmd.Name() == "completion" || cmd.Name() == "help" {
		return nil
	}
	for _, sub := range cmd.Commands() {
		if err := write(sub, dir, date); err != nil {
			return err
		}
	}
	file := filepath.Join(dir, name(cmd)+".1")
	return os.WriteFile(file, []byte(page(cmd, date)), 0o644)
}

func name(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

func page(cmd *cobra.Command, date string) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %s 1 %q starttls starttls\n", strings.ToUpper(name(cmd)), date)
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", name(cmd), roff(cmd.Short))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n", roff(cmd.UseLine()))
	asIs(&b, "DESCRIPTION", cmd.Long)
	options(&b, cmd)
	asIs(&b, "EXAMPLES", cmd.Example)
	seeAlso(&b, cmd)
	return b.String()
}

// asIs writes a section whose lines stay as they are.
func asIs(b *strings.Builder, title, text string) {
	if text == "" {
		return
	}
	fmt.Fprintf(b, ".SH %s\n.nf\n", title)
	for line := range strings.Lines(text) {
		b.WriteString(roff(strings.TrimRight(line, "\n")) + "\n")
	}
	b.WriteString(".fi\n")
}

func options(b *strings.Builder, cmd *cobra.Command) {
	if !cmd.HasAvailableLocalFlags() {
		return
	}
	b.WriteString(".SH OPTIONS\n")
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "[]" && f.DefValue != "0" && f.DefValue != "0s" && !strings.HasPrefix(f.DefValue, "/") {
			usage += " (default " + f.DefValue + ")"
		}
		fmt.Fprintf(b, ".TP\n\\fB\\-\\-%s\\fR \\fI%s\\fR\n%s\n", roff(f.Name), roff(value), roff(usage))
	})
}

func seeAlso(b *strings.Builder, cmd *cobra.Command) {
	var others []string
	if cmd.HasParent() {
		others = append(others, name(cmd.Parent()))
	}
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() && sub.Name() != "completion" && sub.Name() != "help" {
			others = append(others, name(sub))
		}
	}
	if len(others) > 0 {
		fmt.Fprintf(b, ".SH SEE ALSO\n.BR %s (1)\n", strings.Join(others, " (1),\n.BR "))
	}
}

// roff writes a line so that nothing in it is taken for a request.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`).Replace(s)
	if strings.HasPrefix(s, ".") {
		return `\&` + s
	}
	return s
}
