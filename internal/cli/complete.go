package cli

import (
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"starttls"
	"starttls/internal/finding"
	"starttls/internal/lab"
)

// listed finds the words that a flag takes where its usage is a list of them, or ends in one.
var listed = regexp.MustCompile(`(?:^|: )([a-z0-9.-]+(?:, [a-z0-9.-]+)+)$`)

// unlisted are the words of flags whose usage says more of each.
var unlisted = map[string]func() []string{
	"balance":  func() []string { return []string{"first", "round-robin", "least"} },
	"dns-mode": func() []string { return []string{"validate", "trust-ad"} },
	"ports":    func() []string { return []string{"free", "real"} },
	"explain": func() []string {
		ids := []string{"all", "schema"}
		for _, e := range finding.Catalogue() {
			ids = append(ids, e.ID)
		}
		return ids
	},
}

// wordsOf returns the words that a flag takes; nil if they are not a few that are known.
func wordsOf(flag *pflag.Flag) []string {
	if words, ok := unlisted[flag.Name]; ok {
		return words()
	}
	if list := listed.FindStringSubmatch(flag.Usage); list != nil {
		return strings.Split(list[1], ", ")
	}
	return nil
}

// offer has the shell complete the words of flags, and arguments: of all commands from cmd down.
func offer(cmd *cobra.Command) {
	cmd.Flags().VisitAll(func(flag *pflag.Flag) {
		if words := wordsOf(flag); words != nil {
			cmd.RegisterFlagCompletionFunc(flag.Name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
		}
	})
	switch cmd.Name() {
	case "lab":
		cmd.ValidArgsFunction = offerLab
	case "policy", "publish":
		cmd.ValidArgsFunction = offerInLab
	case "check":
		cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
			if inLab, _ := cmd.Flags().GetBool("lab"); inLab {
				return offerLab(cmd, args, word)
			}
			return offerURLs(cmd, args, word)
		}
	case "gateway", "connect":
		cmd.ValidArgsFunction = offerURLs
	}
	for _, below := range cmd.Commands() {
		offer(below)
	}
}

// offerLab offers the domains of the lab.
func offerLab(*cobra.Command, []string, string) (names []string, _ cobra.ShellCompDirective) {
	for _, d := range lab.List() {
		names = append(names, d.Name+"\t"+d.About)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// offerInLab offers them with --lab, and nothing without.
func offerInLab(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if inLab, _ := cmd.Flags().GetBool("lab"); inLab {
		return offerLab(cmd, args, word)
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// offerURLs offers how URLs begin.
func offerURLs(*cobra.Command, []string, string) (urls []string, _ cobra.ShellCompDirective) {
	for _, scheme := range starttls.Schemes() {
		urls = append(urls, scheme+"://")
	}
	return urls, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}
