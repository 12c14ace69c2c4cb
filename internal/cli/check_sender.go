package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"starttls/internal/lab"
	"starttls/internal/villain"
)

// A senderCheck is one run of the lab for a program that sends mail.
type senderCheck struct {
	*clientRun
	lab   *lab.Lab
	watch *villain.Sender
	dir   string // of what the program needs
}

// checkSender serves the lab, has the command send to each of its domains if there is one, and tells where
// messages went. options are what stands behind "mx:".
func (f *checkFlags) checkSender(ctx context.Context, std streams, options string, command []string) (err error) {
	config, dir, err := senderOptions(options)
	switch {
	case err != nil:
		return fmt.Errorf("--client %s: %w", f.client.url, err)
	case f.client.ca != "":
		return errors.New("--client-ca: with mx: meant is mx:?dir=FOLDER, which gets ca.pem and more")
	}
	if err := isThere(command); err != nil {
		return err
	}
	run, err := f.openClient(std)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, run.out.close()) }()
	c := &senderCheck{clientRun: run, dir: dir}
	if dir == "" {
		if c.dir, err = os.MkdirTemp("", "starttls-client-"); err != nil {
			return failed(err)
		}
		defer os.RemoveAll(c.dir)
	}
	if c.lab, err = lab.Start(config); err != nil {
		return failed(err)
	}
	defer c.lab.Close()
	if err := (&labFlags{dir: c.dir}).write(c.lab); err != nil {
		return failed(err)
	}
	c.watch = villain.Watch(c.lab)
	c.introduce(len(command) > 0)
	for _, domain := range villain.MailDomains() {
		if len(command) == 0 {
			break
		}
		err := c.runOne(ctx, command, "{to}", "somebody@"+domain, "{domain}", domain, "{dir}", c.dir, "{ca}", filepath.Join(c.dir, "ca.pem"),
			"{dns}", c.lab.Resolver().String(), "{port}", fmt.Sprint(c.lab.Ports().Mail))
		if err != nil {
			return failed(err)
		}
	}
	c.await(ctx, len(command) > 0)
	return c.tellAll()
}

// senderOptions reads "?ports=real&dir=DIR&net=127.30.0.0/16".
func senderOptions(text string) (config lab.Config, dir string, err error) {
	u, err := url.Parse(text)
	if err != nil || u.Path != "" || u.Host != "" {
		return config, "", errors.New("meant is mx: or mx:?ports=real&dir=FOLDER")
	}
	flags := labFlags{ports: "free", net: "127.25.0.0/16"}
	for key, values := range u.Query() {
		word := map[string]*string{"ports": &flags.ports, "net": &flags.net, "dir": &flags.dir}[key]
		if word == nil {
			return config, "", fmt.Errorf("unknown option %q; the options here are ports, dir, net", key)
		}
		*word = values[0]
	}
	config, err = flags.config(villain.MailDomains())
	return config, flags.dir, err
}

// introduce says what there is, and what to do.
func (c *senderCheck) introduce(driven bool) {
	ports := c.lab.Ports()
	fmt.Fprintf(c.people, "Mail domains of a lab, for a program that sends. It must resolve by and trust what is in\n  %s\n", c.dir)
	fmt.Fprintf(c.people, "Ports: DNS %d, SMTP %d, HTTPS %d; root at %s; a resolver that validates nothing at %s\n\n",
		ports.DNS, ports.Mail, ports.Web, c.lab.Root(), c.lab.Resolver())
	for _, d := range c.lab.Domains() {
		fmt.Fprintf(c.people, "  somebody@%-32s %s\n", d.Name, d.About)
	}
	if driven {
		fmt.Fprintf(c.people, "\nThe client is run once for each. When it is quiet for %v, that is all.\n\n", c.patience)
	} else {
		fmt.Fprintf(c.people, "\nHave it send a message to each. When it has tried all and is quiet for %v, that is all; Ctrl-C ends.\n\n", c.patience)
	}
}

// await waits until the sender is quiet; one that was not told by us where to send has been everywhere
// before.
func (c *senderCheck) await(ctx context.Context, driven bool) {
	tick := time.NewTicker(settleTime / 10)
	defer tick.Stop()
	last, since := 0, time.Now()
	for {
		domains, open, events := c.watch.Progress()
		if events != last || open > 0 || !driven && domains < len(villain.MailDomains()) {
			last, since = events, time.Now()
		}
		if time.Since(since) > c.patience {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// tellAll tells what has become of each message, and concludes. People get the gravest of each finding.
func (c *senderCheck) tellAll() error {
	r := c.watch.Result()
	for _, f := range r.All {
		c.show(f)
	}
	if c.format == "text" {
		r = villain.Summary(r)
	}
	return c.conclude(r)
}
