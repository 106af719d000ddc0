package http

import (
	"errors"
	"fmt"
	"unsafe"

	"perilune/luart/regex"
)

// Regex is a compiled regular expression of the configuration, in PCRE's syntax. A match that backtracks too often
// fails, as nginx limits PCRE.
type Regex struct {
	Pattern string
	Groups  int      // number of capturing groups
	Names   []string // of the groups, from group 1 on; "" for groups without a name

	re      *regex.Regexp
	matcher regex.Matcher
}

// CompileRegex compiles a pattern in PCRE's syntax.
func CompileRegex(pattern string, caseless bool) (*Regex, error) {
	var opts regex.Options
	if caseless {
		opts = regex.Caseless
	}
	compiled, err := regex.Compile(pattern, opts)
	if err != nil {
		return nil, fmt.Errorf("compiling %q: %w", pattern, err)
	}
	re := &Regex{Pattern: pattern, Groups: compiled.Groups(), Names: make([]string, compiled.Groups()), re: compiled}
	for _, n := range compiled.Names() {
		re.Names[n.Group-1] = n.Name
	}
	return re, nil
}

// HasNames tells whether a group has a name.
func (re *Regex) HasNames() bool {
	for _, n := range re.Names {
		if n != "" {
			return true
		}
	}
	return false
}

// Match tells whether s matches. If so it appends the begin and end of the match and of each group to index; groups
// that took no part are -1, -1. Nothing is allocated; without groups index stays as it is.
func (re *Regex) Match(s []byte, index []int) ([]int, bool, error) {
	err := re.matcher.Exec(re.re, unsafe.String(unsafe.SliceData(s), len(s)), 0, false)
	switch {
	case errors.Is(err, regex.ErrNoMatch):
		return index, false, nil
	case err != nil:
		return index, false, err
	case re.Groups > 0:
		for _, i := range re.matcher.Caps {
			index = append(index, int(i))
		}
	}
	return index, true, nil
}

// Captures are what the last matching regular expression of a request captured, for $1 … $9 and named groups.
type Captures struct {
	Subject []byte
	Index   []int    // pairs, the whole match first
	named   [][]byte // by the index of the name, see Variables
}

// Exec matches s and records what was captured. s must not be changed as long as the captures are in use.
func (c *Captures) Exec(re *BoundRegex, s []byte) (bool, error) {
	index, ok, err := re.Match(s, c.Index[:0])
	if !ok || err != nil {
		return false, err
	}
	if re.Groups == 0 {
		c.Index = c.Index[:0] // $1 and on are void
		return true, nil
	}
	c.Subject, c.Index = s, index
	for i, slot := range re.slots {
		if slot < 0 {
			continue
		}
		value, _ := c.Group(i + 1)
		c.setNamed(slot, value)
	}
	return true, nil
}

func (c *Captures) setNamed(slot int, value []byte) {
	for len(c.named) <= slot {
		c.named = append(c.named, nil)
	}
	c.named[slot] = value
}

// Group is the text of a group; false if it took no part in the match.
func (c *Captures) Group(n int) ([]byte, bool) {
	if 2*n+1 >= len(c.Index) || c.Index[2*n] < 0 {
		return nil, false
	}
	return c.Subject[c.Index[2*n]:c.Index[2*n+1]], true
}

// Reset forgets the captures; it keeps the memory for the next request.
func (c *Captures) Reset() {
	c.Subject = nil
	c.Index = c.Index[:0]
	clear(c.named)
	c.named = c.named[:0]
}

// BoundRegex is a regular expression whose named groups are variables of the configuration.
type BoundRegex struct {
	*Regex
	slots []int // for each group the slot of its variable in Captures.named, or -1; nil without names
}
