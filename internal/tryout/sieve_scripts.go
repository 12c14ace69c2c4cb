package tryout

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
)

// sieveText puts a text in between, as a literal: there may be line ends in it.
func sieveText(before, text, after string) string {
	return fmt.Sprintf("%s{%d}\r\n%s%s", before, len(text), text, after)
}

func sieveNamed(name string) bool {
	return name != "" && len(name) <= sieveName && !strings.ContainsFunc(name, unicode.IsControl)
}

func (c *sieveConn) put(args []string) string {
	_, there := c.scripts[args[0]]
	switch {
	case !sieveNamed(args[0]):
		return sieveUnclear
	case !there && len(c.scripts) == sieveScripts:
		return `NO (QUOTA/MAXSCRIPTS) "Too many scripts"`
	}
	c.scripts[args[0]] = args[1]
	return sieveDone
}

func sieveYes(*sieveConn, []string) string { return sieveDone }

func (c *sieveConn) get(args []string) string {
	if text, there := c.scripts[args[0]]; there {
		return sieveText("", text, "\r\n"+sieveDone)
	}
	return sieveNone
}

func (c *sieveConn) remove(args []string) string {
	_, there := c.scripts[args[0]]
	switch {
	case !there:
		return sieveNone
	case c.active == args[0]:
		return `NO (ACTIVE) "It is active"`
	}
	delete(c.scripts, args[0])
	return sieveDone
}

func (c *sieveConn) rename(args []string) string {
	text, there := c.scripts[args[0]]
	_, taken := c.scripts[args[1]]
	switch {
	case !there:
		return sieveNone
	case taken:
		return `NO (ALREADYEXISTS) "That name is taken"`
	case !sieveNamed(args[1]):
		return sieveUnclear
	}
	delete(c.scripts, args[0])
	c.scripts[args[1]] = text
	if c.active == args[0] {
		c.active = args[1]
	}
	return sieveDone
}

// activate makes one active, or with an empty name none (RFC 5804 §2.8).
func (c *sieveConn) activate(args []string) string {
	if _, there := c.scripts[args[0]]; !there && args[0] != "" {
		return sieveNone
	}
	c.active = args[0]
	return sieveDone
}

func (c *sieveConn) list([]string) (reply string) {
	for _, name := range slices.Sorted(maps.Keys(c.scripts)) {
		if reply += quoted(name); name == c.active {
			reply += " ACTIVE"
		}
		reply += "\r\n"
	}
	return reply + sieveDone
}
