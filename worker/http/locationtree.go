package http

import (
	"fmt"
	"slices"
	"strings"
)

// LocationKind is what kind of match a location asks for.
type LocationKind uint8

// The kinds, with the modifiers that ask for them.
const (
	LocationPrefix      LocationKind = iota // no modifier
	LocationPrefixFinal                     // ^~: no regular expression is tried after it
	LocationExact                           // =
	LocationRegex                           // ~ and ~*
	LocationNamed                           // @name
)

// Location is a location block as the tree sees it; C is the engine's configuration of it.
type Location[C any] struct {
	Kind         LocationKind
	Name         string
	Regex        *BoundRegex
	AutoRedirect bool // a request without the name's trailing slash is redirected
	Conf         C
	Nested       *LocationTree[C] // nil without nested locations
	File         string           // where the block stands, for messages
	Line         int
}

type locationNode[C any] struct {
	name   string
	exact  *Location[C]
	prefix *Location[C]
	parent int // the longest other name that is a prefix of this one and has a prefix location; -1: none
}

// LocationTree finds the location of a URI, by nginx's rules and without allocation.
type LocationTree[C any] struct {
	nodes     []locationNode[C] // sorted by name
	redirects map[string]*Location[C]
	regex     []*Location[C]
	named     map[string]*Location[C]
}

// NewLocationTree orders the location blocks of one level. The error is nginx's for a location that is there twice.
func NewLocationTree[C any](locs []Location[C]) (*LocationTree[C], error) {
	t := &LocationTree[C]{}
	var static, named []*Location[C]
	for i := range locs {
		l := &locs[i]
		switch l.Kind {
		case LocationRegex:
			t.regex = append(t.regex, l)
		case LocationNamed:
			named = append(named, l)
		default:
			static = append(static, l)
		}
	}
	t.named = make(map[string]*Location[C], len(named))
	for _, l := range named {
		// As in nginx the first one counts, and nobody complains of another.
		if _, found := t.named[l.Name]; !found {
			t.named[l.Name] = l
		}
	}
	slices.SortStableFunc(static, func(a, b *Location[C]) int { return strings.Compare(a.Name, b.Name) })
	for _, l := range static {
		if err := t.addStatic(l); err != nil {
			return nil, err
		}
	}
	t.link()
	return t, nil
}

func duplicateLocation[C any](l *Location[C]) error {
	return fmt.Errorf("duplicate location \"%s\" in %s:%d", l.Name, l.File, l.Line)
}

func (t *LocationTree[C]) addStatic(l *Location[C]) error {
	if n := len(t.nodes); n == 0 || t.nodes[n-1].name != l.Name {
		t.nodes = append(t.nodes, locationNode[C]{name: l.Name})
	}
	n := &t.nodes[len(t.nodes)-1]
	slot := &n.prefix
	if l.Kind == LocationExact {
		slot = &n.exact
	}
	if *slot != nil {
		return duplicateLocation(l)
	}
	*slot = l
	if l.AutoRedirect && strings.HasSuffix(l.Name, "/") {
		if t.redirects == nil {
			t.redirects = make(map[string]*Location[C])
		}
		// nginx redirects by the exact location of the name if there is one.
		if old := t.redirects[l.Name[:len(l.Name)-1]]; old == nil || l.Kind == LocationExact {
			t.redirects[l.Name[:len(l.Name)-1]] = l
		}
	}
	return nil
}

// link sets the parents: the names before a node's that are prefixes of it form a chain.
func (t *LocationTree[C]) link() {
	for i := range t.nodes {
		p := i - 1
		for p >= 0 && (t.nodes[p].prefix == nil || !strings.HasPrefix(t.nodes[i].name, t.nodes[p].name)) {
			p = t.nodes[p].parent
		}
		t.nodes[i].parent = p
	}
}

// findStatic looks among the exact and prefix locations.
func (t *LocationTree[C]) findStatic(uri []byte) (l *Location[C], exact, redirect bool) {
	// The last name that is not greater than the URI; every name that is a prefix of the URI is it or one of its parents.
	lo, hi := 0, len(t.nodes)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if t.nodes[mid].name <= string(uri) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	i := lo - 1
	if i >= 0 && len(t.nodes[i].name) == len(uri) && t.nodes[i].name == string(uri) {
		if n := &t.nodes[i]; n.exact != nil {
			return n.exact, true, false
		}
		return t.nodes[i].prefix, false, false
	}
	if t.redirects != nil {
		if l := t.redirects[string(uri)]; l != nil {
			return l, false, true
		}
	}
	for ; i >= 0; i = t.nodes[i].parent {
		n := &t.nodes[i]
		if n.prefix != nil && len(n.name) <= len(uri) && n.name == string(uri[:len(n.name)]) {
			return n.prefix, false, false
		}
	}
	return nil, false, false
}

// Find looks for the location of a normalised URI; nil means the server's own configuration. With redirect the answer
// to the request is a redirect to the location's name.
func (t *LocationTree[C]) Find(uri []byte, caps *Captures) (loc *Location[C], redirect bool, err error) {
	loc, _, redirect, err = t.find(uri, caps)
	return loc, redirect, err
}

// find is Find for one level and those below it. Final says that regular expressions of the levels above are not tried.
func (t *LocationTree[C]) find(uri []byte, caps *Captures) (loc *Location[C], final, redirect bool, err error) {
	if t == nil {
		return nil, false, false, nil
	}
	loc, final, redirect = t.findStatic(uri)
	if final || redirect {
		return loc, final, redirect, nil
	}
	tryRegex := true
	if loc != nil {
		tryRegex = loc.Kind != LocationPrefixFinal
		var nested *Location[C]
		nested, final, redirect, err = loc.Nested.find(uri, caps)
		if nested != nil {
			loc = nested
		}
		if final || redirect || err != nil {
			return loc, final, redirect, err
		}
	}
	if !tryRegex {
		return loc, false, false, nil
	}
	for _, l := range t.regex {
		ok, err := caps.Exec(l.Regex, uri)
		if err != nil {
			return nil, false, false, err
		}
		if !ok {
			continue
		}
		// As in nginx, a redirect of a location nested in a regex location does not happen.
		nested, _, _, err := l.Nested.find(uri, caps)
		if nested != nil {
			l = nested
		}
		return l, true, false, err
	}
	return loc, false, false, nil
}

// Named finds a named location, by its name with the '@'.
func (t *LocationTree[C]) Named(name []byte) *Location[C] {
	if t == nil {
		return nil
	}
	return t.named[string(name)]
}
