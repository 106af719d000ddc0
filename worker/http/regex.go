package http

import (
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/dlclark/regexp2"
)

// backtrackLimit stops a backtracking pattern that would otherwise hold up the worker; nginx limits PCRE alike.
const backtrackLimit = 500 * time.Millisecond

// Regex is a compiled regular expression of the configuration. Patterns that RE2 understands run in linear time;
// look-around, back references and the like fall back on a backtracking engine.
type Regex struct {
	Pattern string
	Groups  int      // number of capturing groups
	Names   []string // of the groups, from group 1 on; "" for groups without a name

	linear *regexp.Regexp
	back   *regexp2.Regexp
}

// CompileRegex compiles a pattern in PCRE's syntax.
func CompileRegex(pattern string, caseless bool) (*Regex, error) {
	re := &Regex{Pattern: pattern}
	src := pattern
	if caseless {
		src = "(?i)" + pattern
	}
	var err error
	if re.linear, err = regexp.Compile(src); err == nil {
		re.Groups = re.linear.NumSubexp()
		re.Names = re.linear.SubexpNames()[1:]
		return re, nil
	}
	opts := regexp2.None
	if caseless {
		opts |= regexp2.IgnoreCase
	}
	if re.back, err = regexp2.Compile(pattern, opts); err != nil {
		return nil, fmt.Errorf("compiling %q: %w", pattern, err)
	}
	re.back.MatchTimeout = backtrackLimit
	numbers := re.back.GetGroupNumbers()
	re.Groups = len(numbers) - 1
	for _, n := range numbers[1:] {
		name := re.back.GroupNameFromNumber(n)
		if name == strconv.Itoa(n) {
			name = ""
		}
		re.Names = append(re.Names, name)
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
// that took no part are -1, -1. Without groups nothing is allocated, and index stays as it is.
func (re *Regex) Match(s []byte, index []int) ([]int, bool, error) {
	if re.back != nil {
		return re.matchBack(s, index)
	}
	if re.Groups == 0 {
		return index, re.linear.Match(s), nil
	}
	m := re.linear.FindSubmatchIndex(s)
	return append(index, m...), m != nil, nil
}

// matchBack maps every byte to one rune, so that positions are byte positions and no byte is invalid.
func (re *Regex) matchBack(s []byte, index []int) ([]int, bool, error) {
	runes := make([]rune, len(s))
	for i, c := range s {
		runes[i] = rune(c)
	}
	m, err := re.back.FindRunesMatch(runes)
	if err != nil || m == nil {
		return index, false, err
	}
	if re.Groups == 0 {
		return index, true, nil
	}
	for _, g := range m.Groups() {
		if len(g.Captures) == 0 {
			index = append(index, -1, -1)
			continue
		}
		index = append(index, g.Index, g.Index+g.Length)
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
