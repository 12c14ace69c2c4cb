package check

import (
	"context"
	"slices"

	"starttls/dialect"
)

// briefly has a conversation about TLS alone. What the server can do is known by then, so that it is not asked for
// once more: each reply that is waited for costs time, above all of a server that is far away. Most servers take the
// upgrade with the first word. One that does not is asked from then on.
func (v *visit) briefly(ctx context.Context, e edit) (*talk, error) {
	e.brief = !v.formal && brief(v.endpoint.Dialect)
	t, err := v.talk(ctx, e)
	if e.brief && err == nil && t.stage < goAhead {
		v.formal, e.brief = true, false
		return v.talk(ctx, e)
	}
	return t, err
}

// brief reports whether a dialect's client has one question between the greeting and the upgrade, in lines of
// text: hello or ask.
func brief(d *dialect.Dialect) bool { return rushes(d) && textual(d) }

// along returns the dialect with those lines of the road that are wanted.
func along(d *dialect.Dialect, wanted func(dialect.Line) bool) *dialect.Dialect {
	part := *d
	part.Script.Clear = slices.DeleteFunc(slices.Clone(d.Script.Clear), func(l dialect.Line) bool { return !wanted(l) })
	return &part
}

// onlyUpgrade reports whether a line is of the road on which the client asks for nothing but the upgrade.
func onlyUpgrade(l dialect.Line) bool {
	return l.Kind == dialect.Greeting || l.Kind == dialect.Upgrade || l.Kind == dialect.Ready
}

// formally goes on where a server has refused an upgrade before the question: the question, and the upgrade again.
func (c *conversation) formally(ctx context.Context) (err error) {
	c.formal, c.edit.brief = true, false
	c.leg.Dialect = along(c.endpoint.Dialect, func(l dialect.Line) bool { return l.Kind != dialect.Greeting })
	if err := c.approach(ctx); err != nil {
		return err
	}
	c.ready, err = c.askUpgrade(nil)
	return err
}
