package regex

import (
	"slices"
	"unicode"
	"unicode/utf8"
)

// set is a set of characters: bytes, or in UTF mode ASCII characters with high
// for the others.
type set struct {
	bits [256]bool
	high []span // sorted, without overlaps
}

type span struct{ lo, hi rune }

// hasHigh reports whether a character beyond ASCII is in the set.
func (s *set) hasHigh(r rune) bool {
	lo, hi := 0, len(s.high)
	for lo < hi {
		mid := (lo + hi) / 2
		switch {
		case r < s.high[mid].lo:
			hi = mid
		case r > s.high[mid].hi:
			lo = mid + 1
		default:
			return true
		}
	}
	return false
}

// allHigh reports whether all characters beyond ASCII are in the set.
func (s *set) allHigh() bool {
	return len(s.high) == 1 && s.high[0].lo <= utf8.RuneSelf && s.high[0].hi == unicode.MaxRune
}

// spans is a set while it is being made.
type spans []span

func (l *spans) add(lo, hi rune) { *l = append(*l, span{lo, hi}) }

func (l *spans) addTable(t *unicode.RangeTable) {
	for _, r := range t.R16 {
		if r.Stride == 1 {
			l.add(rune(r.Lo), rune(r.Hi))
			continue
		}
		for c := rune(r.Lo); c <= rune(r.Hi); c += rune(r.Stride) {
			l.add(c, c)
		}
	}
	for _, r := range t.R32 {
		if r.Stride == 1 {
			l.add(rune(r.Lo), rune(r.Hi))
			continue
		}
		for c := rune(r.Lo); c <= rune(r.Hi); c += rune(r.Stride) {
			l.add(c, c)
		}
	}
}

// addFolded adds the other cases of the characters from lo to hi.
func (l *spans) addFolded(lo, hi rune, utf bool) {
	if !utf {
		for c := max(lo, 'A'); c <= min(hi, 'Z'); c++ {
			l.add(c+32, c+32)
		}
		for c := max(lo, 'a'); c <= min(hi, 'z'); c++ {
			l.add(c-32, c-32)
		}
		return
	}
	const last = 0x1e943 // no letter beyond has cases
	for c := lo; c <= min(hi, last); c++ {
		for f := unicode.SimpleFold(c); f != c; f = unicode.SimpleFold(f) {
			l.add(f, f)
		}
	}
}

func (l spans) merged() spans {
	slices.SortFunc(l, func(a, b span) int { return int(a.lo - b.lo) })
	out := l[:0]
	for _, s := range l {
		if n := len(out); n > 0 && s.lo <= out[n-1].hi+1 {
			out[n-1].hi = max(out[n-1].hi, s.hi)
			continue
		}
		out = append(out, s)
	}
	return out
}

// complement is what l, which is merged, lacks.
func (l spans) complement(last rune) spans {
	var out spans
	next := rune(0)
	for _, s := range l {
		if s.lo > next {
			out.add(next, s.lo-1)
		}
		next = s.hi + 1
	}
	if next <= last {
		out.add(next, last)
	}
	return out
}

func lastChar(utf bool) rune {
	if utf {
		return unicode.MaxRune
	}
	return 0xff
}

// makeSet makes a set of spans.
func makeSet(l spans, not, utf bool) *set {
	l = l.merged()
	if not {
		l = l.complement(lastChar(utf))
	}
	s := &set{}
	low := rune(0xff)
	if utf {
		low = utf8.RuneSelf - 1
	}
	for _, r := range l {
		for c := r.lo; c <= min(r.hi, low); c++ {
			s.bits[c] = true
		}
		if utf && r.hi > low {
			s.high = append(s.high, span{max(r.lo, low+1), r.hi})
		}
	}
	return s
}

var (
	digitSpans = spans{{'0', '9'}}
	wordSpans  = spans{{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}}
	spaceSpans = spans{{'\t', '\r'}, {' ', ' '}}
	horizSpans = spans{{'\t', '\t'}, {' ', ' '}, {0xa0, 0xa0}, {0x1680, 0x1680}, {0x180e, 0x180e}, {0x2000, 0x200a}, {0x202f, 0x202f}, {0x205f, 0x205f}, {0x3000, 0x3000}}
	vertSpans  = spans{{'\n', '\r'}, {0x85, 0x85}, {0x2028, 0x2029}}
)

var posixSpans = map[string]spans{
	"alpha": {{'A', 'Z'}, {'a', 'z'}}, "lower": {{'a', 'z'}}, "upper": {{'A', 'Z'}},
	"alnum": {{'0', '9'}, {'A', 'Z'}, {'a', 'z'}}, "ascii": {{0, 127}}, "blank": {{'\t', '\t'}, {' ', ' '}},
	"cntrl": {{0, 31}, {127, 127}}, "digit": digitSpans, "graph": {{33, 126}}, "print": {{32, 126}},
	"punct": {{33, 47}, {58, 64}, {91, 96}, {123, 126}}, "space": spaceSpans, "word": wordSpans,
	"xdigit": {{'0', '9'}, {'A', 'F'}, {'a', 'f'}},
}

// clip drops what is beyond the last character.
func (l spans) clip(last rune) spans {
	var out spans
	for _, s := range l {
		if s.lo <= last {
			out.add(s.lo, min(s.hi, last))
		}
	}
	return out
}

// classSpans are those of \d, \w, \s, \h, \v and, in capitals, of their complements.
func (p *parser) classSpans(c byte) spans {
	var l spans
	lower := c | 0x20
	switch lower {
	case 'd':
		l = digitSpans
		if p.ucp {
			l = tableSpans(unicode.Nd)
		}
	case 'w':
		l = wordSpans
		if p.ucp {
			l = append(tableSpans(unicode.L, unicode.N), span{'_', '_'})
		}
	case 's':
		l = spaceSpans
		if p.ucp {
			l = append(append(tableSpans(unicode.Z), spaceSpans...), span{0x85, 0x85})
		}
	case 'h':
		l = horizSpans
	case 'v':
		l = vertSpans
	}
	last := lastChar(p.utf)
	l = l.clip(last)
	if c != lower {
		l = slices.Clone(l).merged().complement(last)
	}
	return l
}

func tableSpans(tables ...*unicode.RangeTable) spans {
	var l spans
	for _, t := range tables {
		l.addTable(t)
	}
	return l
}

// propertySpans are those of \p{name}.
func propertySpans(name string) (spans, bool) {
	switch name {
	case "Any":
		return spans{{0, unicode.MaxRune}}, true
	case "L&":
		return tableSpans(unicode.Lu, unicode.Ll, unicode.Lt), true
	case "Xan":
		return tableSpans(unicode.L, unicode.N), true
	case "Xwd":
		return append(tableSpans(unicode.L, unicode.N), span{'_', '_'}), true
	case "Xsp", "Xps":
		return append(append(tableSpans(unicode.Z), spaceSpans...), span{0x85, 0x85}), true
	case "Xuc":
		return spans{{'$', '$'}, {'@', '@'}, {'`', '`'}, {0xa0, 0xd7ff}, {0xe000, unicode.MaxRune}}, true
	case "C", "Cn":
		var l spans
		for n, t := range unicode.Categories {
			if len(n) == 1 && n != "C" {
				l.addTable(t)
			}
		}
		if name == "Cn" {
			l = append(l, tableSpans(unicode.Cc, unicode.Cf, unicode.Co, unicode.Cs)...)
		}
		return l.merged().complement(unicode.MaxRune), true
	}
	if t := unicode.Categories[name]; t != nil && len(name) <= 2 {
		return tableSpans(t), true
	}
	if t := unicode.Scripts[name]; t != nil {
		return tableSpans(t), true
	}
	return nil, false
}
