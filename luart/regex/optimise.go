package regex

import (
	"strings"
	"unicode/utf8"
)

// firsts finds out what a program can begin with.
type firsts struct {
	re   *Regexp
	seen map[int32]bool
	f    filter
	work int
}

// maxWork bounds the instructions that are looked at for one filter.
const maxWork = 400

// filterAt is what can begin at pc, nil if that is not known.
func (re *Regexp) filterAt(pc int32) *filter {
	w := firsts{re: re, seen: map[int32]bool{}}
	if !w.walk(pc, nil) {
		return nil
	}
	return &w.f
}

func (w *firsts) addBits(bits *[256]bool) {
	for i, b := range bits {
		if b {
			w.f.bits[i] = true
		}
	}
}

func (w *firsts) addHigh() {
	for i := utf8.RuneSelf; i < 256; i++ {
		w.f.bits[i] = true
	}
}

// walk adds what can begin at pc; ends are where the bodies around pc go on. It
// returns false if anything can.
func (w *firsts) walk(pc int32, ends []int32) bool {
	for {
		if w.seen[pc] {
			return true
		}
		w.seen[pc] = true
		if w.work++; w.work > maxWork {
			return false
		}
		in := &w.re.prog[pc]
		switch in.op {
		case opByte:
			w.f.bits[in.b] = true
			return true
		case opString:
			w.f.bits[in.str[0]] = true
			return true
		case opFold:
			c := in.str[0]
			w.f.bits[c] = true
			if c >= 'a' && c <= 'z' {
				w.f.bits[c-32] = true
			}
			return true
		case opSet:
			w.addBits(in.bits)
			return true
		case opChar:
			w.addBits(in.bits)
			w.addHigh()
			return true
		case opRep, opRepChar:
			w.addBits(in.bits)
			if in.op == opRepChar {
				w.addHigh()
			}
			if in.min > 0 {
				return true
			}
		case opNewline:
			for _, c := range "\n\v\f\r" {
				w.f.bits[c] = true
			}
			w.addHigh()
			return true
		case opFail:
			return true
		case opSplit:
			if !w.walk(in.x, ends) {
				return false
			}
		case opRepLoop:
			if (in.min == 0 || in.not) && !w.walk(in.x, ends) {
				return false
			}
		case opJump:
			pc = in.x
			continue
		case opLook:
			pc = in.x
			continue
		case opAtomic:
			ends = append(ends[:len(ends):len(ends)], in.x)
		case opEnd:
			if len(ends) == 0 {
				return false
			}
			pc = ends[len(ends)-1]
			ends = ends[:len(ends)-1]
			continue
		case opAssert:
			switch in.what {
			case aEnd:
				w.f.end = true
				return true
			case aEndLine, aLineEnd:
				w.f.end = true
				w.f.bits['\n'] = true
				return true
			}
		case opSave, opOpen, opClose, opRepInit, opRepEnter:
		default:
			return false
		}
		pc++
	}
}

// optimise finds what saves work at the start of a match and at its choices.
func (re *Regexp) optimise() {
	for i := range re.prog {
		in := &re.prog[i]
		switch in.op {
		case opSplit:
			in.fa, in.fb = re.filterAt(int32(i)+1), re.filterAt(in.x)
		case opRepLoop:
			in.fa, in.fb = re.filterAt(int32(i)+1), re.filterAt(in.x)
		case opRep:
			re.optimiseRep(in, int32(i))
		}
	}
	re.first = re.filterAt(0)
	if re.first != nil {
		re.single()
	}
	re.anchored = re.opts&Anchored != 0
	re.begin()
	re.findLead()
}

// optimiseRep gives a loop over a set the filter of what follows; a loop that
// cannot give anything back is possessive.
func (re *Regexp) optimiseRep(in *inst, pc int32) {
	f := re.filterAt(pc + 1)
	if f == nil {
		return
	}
	in.fa = f
	if in.mode == lazy {
		return
	}
	for i, b := range in.bits {
		if b && f.bits[i] {
			return
		}
	}
	in.mode = possessive
}

// single finds the literal that every match begins with.
func (re *Regexp) single() {
	n, last := 0, -1
	for i, b := range re.first.bits {
		if b {
			n, last = n+1, i
		}
	}
	if re.first.end {
		return
	}
	if n == 1 {
		re.oneByte = last
	}
	for pc := 0; pc < len(re.prog); pc++ {
		switch in := &re.prog[pc]; in.op {
		case opByte:
			re.prefix += string([]byte{in.b})
		case opString:
			re.prefix += in.str
		case opSave, opOpen:
		default:
			return
		}
	}
}

// begin finds patterns that match only at certain places.
func (re *Regexp) begin() {
	for pc := range re.prog {
		switch in := &re.prog[pc]; in.op {
		case opSave:
			continue
		case opAssert:
			switch in.what {
			case aBegin:
				re.atStart = true
			case aStart:
				re.anchored = true
			case aLineBegin:
				re.lineStart = true
			}
		case opRep:
			if in.min == 0 && in.max == unlimited && !re.hasVerbs() {
				re.lineStart = in.kind == kAny
				re.anchored = re.anchored || in.kind == kAll
			}
		}
		break
	}
}

// lead is a run of bytes of a set and the byte behind it, which is not of the set,
// as what a pattern begins with. A match is looked for at that byte: what goes on
// behind it does not depend on where the run begins, so that one start is enough.
type lead struct {
	bits *[256]bool
	min  int
	end  byte
}

func (re *Regexp) findLead() {
	var rep *inst
	for i := range re.prog {
		switch in := &re.prog[i]; in.op {
		case opSave:
			continue
		case opRep:
			if rep != nil || in.max != unlimited || in.mode != possessive || in.utf && in.min > 1 || re.hasVerbs() {
				return
			}
			rep = in
			continue
		case opByte, opString:
			if rep == nil {
				return
			}
			end := in.b
			if in.op == opString {
				end = in.str[0]
			}
			if !rep.bits[end] {
				re.lead = &lead{rep.bits, int(rep.min), end}
			}
		}
		return
	}
}

// find is the first place from pos on where a match may begin, -1 without one, and
// from where on to look for another one.
func (l *lead) find(s string, pos int) (start, next int) {
	for at := pos; ; {
		i := strings.IndexByte(s[at:], l.end)
		if i < 0 {
			return -1, 0
		}
		end := at + i
		start = end
		for start > at && l.bits[s[start-1]] {
			start--
		}
		if at = end + 1; end-start >= l.min {
			return start, at
		}
	}
}

func (re *Regexp) hasVerbs() bool {
	for i := range re.prog {
		switch re.prog[i].op {
		case opCommit, opPrune, opSkip, opAccept, opCall, opBackref, opKeep:
			return true
		}
	}
	return false
}

// required is the last byte that whatever n matches must have, -1 if there is
// none.
func required(n *node) int {
	switch n.kind {
	case kLiteral:
		if n.text != "" && !n.fold {
			return int(n.text[len(n.text)-1])
		}
	case kConcat:
		for i := len(n.subs) - 1; i >= 0; i-- {
			if b := required(n.subs[i]); b >= 0 {
				return b
			}
		}
	case kGroup, kAtomic:
		return required(n.subs[0])
	case kRepeat:
		if n.min > 0 {
			return required(n.subs[0])
		}
	}
	return -1
}
