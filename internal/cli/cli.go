// Package cli is the command line: subcommands, flags and the program's voice.
//
// The voice. What a person asked for goes to standard output; what befalls goes to standard error, one
// line each, "starttls: " before it, no capital, no full stop. A mistake in the command line is told
// with what was meant and ends with status 64. The log, which machines read, goes to standard error
// through log/slog.
package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// Exit statuses.
const (
	statusFine    = 0
	statusRefused = 1  // the peer refused, or there are findings
	statusFailed  = 2  // could not be reached, tested or started
	statusUsage   = 64 // EX_USAGE of sysexits.h
)

// A failure is an error with the exit status that it leads to. Any other error is one of usage.
type failure struct {
	status int
	err    error
}

func (f failure) Error() string { return f.err.Error() }
func (f failure) Unwrap() error { return f.err }

// failed wraps an error that has nothing to do with how the program was called.
func failed(err error) error {
	if err == nil {
		return nil
	}
	return failure{statusFailed, err}
}

// streams are the program's three.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// Main runs the program with its arguments, without the program's name, and returns the exit status.
func Main(args []string, in io.Reader, out, errOut io.Writer) int {
	boundMemory(os.DirFS("/"))
	root := newRoot(streams{in, out, errOut})
	root.SetArgs(args)
	cmd, err := root.ExecuteC()
	if err == nil {
		return statusFine
	}
	fmt.Fprintf(errOut, "starttls: %v\n", err)
	if f, ok := errors.AsType[failure](err); ok {
		return f.status
	}
	if cmd == root {
		fmt.Fprintln(errOut, `starttls: see "starttls --help", or "starttls COMMAND --help"`)
	} else {
		fmt.Fprintf(errOut, "starttls: see %q\n", cmd.CommandPath()+" --help")
	}
	return statusUsage
}

// Command returns the whole command line, for who writes its manual pages.
func Command() *cobra.Command { return newRoot(streams{strings.NewReader(""), io.Discard, io.Discard}) }

func newRoot(std streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "starttls",
		Short: "TLS on protocols that were born without it",
		Long: `starttls puts TLS on protocols that were born without it: it stands in front of
a server that cannot do TLS and offers STARTTLS for it, or behind a client that
cannot, and does STARTTLS for it.

Exit status: 0 fine; 1 the peer refused; 2 it could not be reached or started;
64 wrong usage.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("unknown command %q; the commands are gateway, connect, check, policy, publish, lab, protocols, version", args[0])
			}
			return nil
		},
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.Version = version() // for --version
	root.SetVersionTemplate(versionLine())
	root.SetIn(std.in)
	root.SetOut(std.out)
	root.SetErr(std.err)
	root.AddCommand(newGateway(std), newConnect(std), newCheck(std), newPolicy(std), newLab(std), newPublish(std), newProtocols(std), newVersion(std))
	root.SetHelpCommand(newHelp())
	root.InitDefaultCompletionCmd()
	offer(root)
	for _, cmd := range root.Commands() {
		if cmd.Name() == "completion" {
			cmd.RunE = func(_ *cobra.Command, args []string) error {
				return fmt.Errorf("completion takes a shell: bash, zsh, fish, powershell; got %q", args)
			}
		}
	}
	return root
}

// newHelp is "help COMMAND", which is the same as "COMMAND --help"; a command that there is not is told.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "help on a command",
		RunE: func(cmd *cobra.Command, args []string) error {
			found, rest, err := cmd.Root().Find(args)
			if err == nil && len(rest) > 0 {
				err = fmt.Errorf("unknown command %q", strings.Join(args, " "))
			}
			if err != nil {
				return err
			}
			return found.Help()
		},
	}
}
