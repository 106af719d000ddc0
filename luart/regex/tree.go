package regex

// Options change the meaning of a pattern.
type Options uint32

// The options of a pattern; those up to Extended can be changed inside of it.
const (
	Caseless Options = 1 << iota
	Multiline
	DotAll
	Extended
	Ungreedy
	DupNames
	Anchored
	UTF
	NoUTFCheck // subjects are trusted to be valid
	JavaScript
	ucp
)

type kind uint8

const (
	kEmpty   kind = iota
	kLiteral      // text, fold
	kSet          // set
	kAny          // any character but a newline
	kAll          // any character
	kByte         // \C
	kNewline      // \R
	kCluster      // \X
	kConcat
	kAlternate
	kRepeat
	kGroup // group > 0 captures
	kAtomic
	kLook
	kCond
	kBackref // group or name
	kCall
	kAssert // assert
	kKeep
	kVerb
)

// Simple assertions and verbs, in node.what.
const (
	aBegin     = iota // \A, ^
	aLineBegin        // ^ in multi-line mode
	aEnd              // \z
	aEndLine          // \Z, $
	aLineEnd          // $ in multi-line mode
	aWord
	aNotWord
	aStart // \G
	vFail
	vAccept
	vCommit
	vPrune
	vSkip
)

const (
	greedy = iota
	lazy
	possessive
)

const unlimited = -1

// Conditions, in node.what.
const (
	condGroup = iota
	condRecursion
	condDefine
	condLook
)

type node struct {
	kind     kind
	what     int
	mode     int
	min, max int
	group    int
	behind   bool
	not      bool
	fold     bool
	text     string
	set      *set
	subs     []*node
	name     string
	offset   int // of a reference, for the error
}

func cat(list []*node) *node {
	switch len(list) {
	case 0:
		return &node{kind: kEmpty}
	case 1:
		return list[0]
	}
	return &node{kind: kConcat, subs: list}
}

// width is the number of characters that n always matches, -1 if it varies.
func (p *parser) width(n *node) int {
	switch n.kind {
	case kEmpty, kLook, kAssert, kKeep, kVerb:
		return 0
	case kLiteral:
		if !p.utf {
			return len(n.text)
		}
		return len([]rune(n.text))
	case kSet, kAny, kAll:
		return 1
	case kByte:
		if p.utf {
			p.byteBehind = true
		}
		return 1
	case kConcat:
		sum := 0
		for _, s := range n.subs {
			w := p.width(s)
			if w < 0 {
				return -1
			}
			sum += w
		}
		return sum
	case kAlternate, kCond:
		return p.sameWidth(n)
	case kGroup, kAtomic:
		return p.width(n.subs[0])
	case kRepeat:
		w := p.width(n.subs[0])
		if n.min != n.max || w < 0 || w*n.min > maxWidth {
			return -1
		}
		return w * n.min
	case kCall:
		if g := p.groups[n.group]; g != nil && p.depth < 20 && n.group > 0 {
			p.depth++
			w := p.width(g)
			p.depth--
			return w
		}
	}
	return -1
}

const maxWidth = 65535

func (p *parser) sameWidth(n *node) int {
	if n.kind == kCond && n.what == condDefine {
		return 0
	}
	w := p.width(n.subs[0])
	for _, s := range n.subs[1:] {
		if p.width(s) != w {
			return -1
		}
	}
	if n.kind == kCond && len(n.subs) == 1 && w != 0 {
		return -1
	}
	return w
}
