package config

import (
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// places returns where each key of a text that was decoded stands: "tls", "tls.min-version", "route[0]",
// "route[0].listen".
func places(text []byte) map[string]Place {
	found := map[string]Place{}
	counts := map[string]int{} // of the tables in each list
	var p unstable.Parser
	p.Reset(text)
	table := ""
	for p.NextExpression() {
		node := p.Expression()
		key, place := keyOf(&p, node)
		switch node.Kind {
		case unstable.Table:
			table = inLists(key, counts)
			found[table] = place
		case unstable.ArrayTable:
			list := inLists(key, counts)
			counts[list]++
			table = fmt.Sprintf("%s[%d]", list, counts[list]-1)
			found[table] = place
		case unstable.KeyValue:
			found[strings.TrimPrefix(table+"."+strings.Join(key, "."), ".")] = place
		}
	}
	return found
}

// keyOf returns an expression's key, and where it begins.
func keyOf(p *unstable.Parser, node *unstable.Node) (parts []string, place Place) {
	for it := node.Key(); it.Next(); {
		part := it.Node()
		if len(parts) == 0 {
			start := p.Shape(p.Range(part.Data)).Start
			place = Place{start.Line, start.Column}
		}
		parts = append(parts, string(part.Data))
	}
	return parts, place
}

// inLists returns a key with the number of the current table after each list that it leads through,
// but for its last part.
func inLists(key []string, counts map[string]int) string {
	path := ""
	for i, part := range key {
		path = strings.TrimPrefix(path+"."+part, ".")
		if n := counts[path]; n > 0 && i < len(key)-1 {
			path = fmt.Sprintf("%s[%d]", path, n-1)
		}
	}
	return path
}
