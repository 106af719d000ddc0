package ffi

import "perilune/luart/vm"

// declarations are what cdef has declared in one VM.
type declarations struct {
	typedefs  map[string]*ctype
	tags      map[string]*ctype
	constants map[string]constant
	symbols   map[string]symbol
	ids       int // given to records and enumerations without a tag
}

type constant struct {
	value    int64
	unsigned bool // and too large for a signed one
}

// symbol is a declared function or variable of C.
type symbol struct {
	ct   *ctype
	name string // that of __asm__
}

func newDeclarations() *declarations {
	return &declarations{
		typedefs: make(map[string]*ctype), tags: make(map[string]*ctype),
		constants: make(map[string]constant), symbols: make(map[string]symbol), ids: 96,
	}
}

// maxNesting limits how deep declarators, records and expressions nest.
const maxNesting = 100

// parser reads declarations. It declares as it goes: what comes before an error
// stays declared, as in LuaJIT.
type parser struct {
	d      *declarations
	toks   []token
	pos    int
	depth  int
	params []vm.Value // the types among the arguments for $
	made   bool       // a record or enumeration has been made
	known  bool       // tags have to be declared
	named  bool       // the declarator has to have a name
}

// parseDecls is cdef.
func (d *declarations) parseDecls(src string, params []vm.Value) error {
	p := &parser{d: d, params: params}
	return p.run(src, params, p.declarationList)
}

// parseType reads one abstract declaration. fresh says that it may be another
// type each time.
func (d *declarations) parseType(src string, params []vm.Value) (ct *ctype, fresh bool, err error) {
	p := &parser{d: d, params: params, known: true}
	err = p.run(src, params, func() {
		var spec specifiers
		spec, _ = p.specifiers()
		ct = p.abstractDeclarator(spec.ct)
		p.attributes(&layout{})
		if p.tok().kind != tokEOF {
			p.unexpected("<eof>")
		}
	})
	return ct, p.made || len(params) > 0, err
}

func (p *parser) run(src string, params []vm.Value, f func()) (err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case declError:
			err = errorText(r.msg)
		default:
			panic(r)
		}
	}()
	p.toks = lexAll(src)
	fillParams(p.toks, params)
	f()
	return nil
}

type errorText string

func (e errorText) Error() string { return string(e) }

func (p *parser) tok() token { return p.toks[p.pos] }

func (p *parser) next() token {
	t := p.toks[p.pos]
	if t.kind != tokEOF {
		p.pos++
	}
	return t
}

func (p *parser) peek(n int) token { return p.toks[min(p.pos+n, len(p.toks)-1)] }

func (t token) is(s string) bool {
	return (t.kind == tokPunct || t.kind == tokName) && t.text == s
}

func (p *parser) opt(s string) bool {
	if p.tok().is(s) {
		p.pos++
		return true
	}
	return false
}

func (p *parser) expect(s string) {
	if !p.opt(s) {
		p.unexpected(s)
	}
}

func (p *parser) near() string {
	if t := p.tok(); t.kind != tokEOF {
		return t.text
	}
	return "<eof>"
}

func (p *parser) unexpected(want string) {
	failDecl(p.tok().line, "'%s' expected near '%s'", want, p.near())
}

func (p *parser) fail(format string, args ...any) { failDecl(p.tok().line, format, args...) }

func (p *parser) enter() {
	if p.depth++; p.depth > maxNesting {
		p.fail("declaration nests too deep near '%s'", p.near())
	}
}

func (p *parser) leave() { p.depth-- }

// name takes an identifier.
func (p *parser) name() string {
	if p.tok().kind != tokName {
		p.unexpected("<identifier>")
	}
	return p.next().text
}

func (p *parser) declarationList() {
	for first := true; p.tok().kind != tokEOF; first = false {
		if p.opt(";") {
			continue
		}
		spec, class := p.specifiers()
		for p.tok().kind != tokEOF && !p.tok().is(";") {
			ct, name, asm := p.namedDeclarator(spec.ct)
			p.declare(class, ct, name, asm)
			if !p.opt(",") {
				break
			}
		}
		if first && p.tok().kind == tokEOF {
			return // the semicolon after a single one may be left out
		}
		p.expect(";")
	}
}

// declared reports whether a name means something already: it keeps its meaning, as
// in LuaJIT.
func (d *declarations) declared(name string) bool {
	_, isConstant := d.constants[name]
	_, isSymbol := d.symbols[name]
	return isConstant || isSymbol || d.typedefs[name] != nil || predefined[name] != nil
}

func (p *parser) declare(class storage, ct *ctype, name, asm string) {
	known := p.d.declared(name)
	switch {
	case class == typedef:
		if !known {
			p.d.typedefs[name] = ct
		}
	case class == static && ct.constant && (ct.kind == kInt || ct.kind == kEnum) && p.opt("="):
		v := p.expr()
		if !known {
			p.d.constants[name] = ct.constantOf(v)
		}
	case !known:
		if asm == "" {
			asm = name
		}
		p.d.symbols[name] = symbol{ct, asm}
	}
}

// constantOf is a value as the type has it.
func (t *ctype) constantOf(v value) constant {
	n := int64(extend(uint64(v.n), t.size, t.unsigned))
	return constant{n, t.unsigned && n < 0}
}

// extend makes 64 bits of the lowest bytes.
func extend(u uint64, size int, unsigned bool) uint64 {
	shift := 64 - 8*size
	if unsigned {
		return u << shift >> shift
	}
	return uint64(int64(u<<shift) >> shift)
}

// namedDeclarator reads a declarator that has to have a name.
func (p *parser) namedDeclarator(base *ctype) (ct *ctype, name, asm string) {
	defer func(old bool) { p.named = old }(p.named)
	p.named = true
	return p.declarator(base)
}

// abstractDeclarator reads one that need not have one.
func (p *parser) abstractDeclarator(base *ctype) *ctype {
	defer func(old bool) { p.named = old }(p.named)
	p.named = false
	ct, _, _ := p.declarator(base)
	return ct
}

// declarator reads pointers, a name if there is one, arrays and parameters, and
// returns the type that these make of base.
func (p *parser) declarator(base *ctype) (ct *ctype, name, asm string) {
	p.enter()
	defer p.leave()
	for p.opt("*") {
		base = pointerTo(base)
		p.qualifiers(func(c, v bool) { base = base.qualified(c, v) })
	}
	p.attributes(&layout{})
	if p.tok().is("(") && p.nested() {
		inner := p.pos + 1
		after := p.pos
		if p.skipParens() {
			base = p.suffixes(base)
			after = p.pos
		}
		p.pos = inner
		ct, name, _ = p.declarator(base)
		p.expect(")")
		p.pos = after
	} else {
		if p.named && p.tok().kind != tokName {
			p.unexpected("<identifier>")
		}
		if t := p.tok(); t.kind == tokName && !t.is("__asm__") && !t.is("asm") && !t.is("__attribute__") {
			name = p.next().text
		}
		ct = p.suffixes(base)
	}
	for p.tok().is("__asm__") || p.tok().is("asm") || p.tok().is("__asm") {
		p.next()
		p.expect("(")
		if t := p.tok(); t.kind != tokString {
			p.fail("string expected near '%s'", p.near())
		}
		s := p.next().text
		asm = s[1 : len(s)-1]
		p.expect(")")
	}
	p.attributes(&layout{})
	return ct, name, asm
}

// nested reports whether the parenthesis begins a declarator and not parameters.
func (p *parser) nested() bool {
	t := p.peek(1)
	if t.is("*") || t.is("(") || t.is("[") || t.is("__attribute__") {
		return true
	}
	return t.kind == tokName && !p.beginsType(t)
}

// skipParens skips what is in parentheses; false says that they are not closed.
func (p *parser) skipParens() bool {
	for depth := 0; ; {
		switch t := p.next(); {
		case t.kind == tokEOF:
			return false
		case t.is("("):
			depth++
		case t.is(")"):
			if depth--; depth == 0 {
				return true
			}
		}
	}
}

func (p *parser) suffixes(base *ctype) *ctype {
	p.enter()
	defer p.leave()
	switch {
	case p.opt("["):
		n, variable := unknown, false
		if p.tok().is("?") {
			p.next()
			variable = true
		} else if !p.tok().is("]") {
			p.qualifiers(func(c, v bool) {})
			n = int(p.expr().n)
			if n < 0 {
				p.fail("size of C type is unknown or too large")
			}
		}
		p.expect("]")
		elem := p.suffixes(base)
		es := elem.sizeof()
		if es < 0 || n > 0 && es > 0 && n > maxSize/es {
			p.fail("size of C type is unknown or too large")
		}
		at := arrayOf(elem, n)
		at.variable = variable
		return at
	case p.opt("("):
		f := &ctype{kind: kFunc}
		p.parameters(f)
		f.elem = p.suffixes(base)
		if f.elem.kind == kFunc || f.elem.kind == kArray {
			p.fail("invalid C type")
		}
		return f
	}
	return base
}

func (p *parser) parameters(f *ctype) {
	if p.opt(")") {
		return
	}
	if p.tok().is("void") && p.peek(1).is(")") {
		p.pos += 2
		return
	}
	for {
		if p.opt("...") {
			f.variadic = true
			break
		}
		spec, _ := p.specifiers()
		ct := p.abstractDeclarator(spec.ct)
		switch ct.kind {
		case kArray:
			ct = pointerTo(ct.elem)
		case kFunc:
			ct = pointerTo(ct)
		case kVoid:
			p.fail("invalid C type")
		}
		f.params = append(f.params, ct)
		if !p.opt(",") {
			break
		}
	}
	p.expect(")")
}

// qualifiers takes const, volatile and what says nothing here.
func (p *parser) qualifiers(f func(c, v bool)) {
	for {
		switch t := p.tok(); {
		case t.is("const"), t.is("__const"), t.is("__const__"):
			f(true, false)
		case t.is("volatile"), t.is("__volatile"), t.is("__volatile__"):
			f(false, true)
		case t.is("restrict"), t.is("__restrict"), t.is("__restrict__"):
		default:
			return
		}
		p.pos++
	}
}

// layout is what attributes say of one.
type layout struct {
	packed bool
	align  int
}

func (p *parser) attributes(l *layout) {
	for p.tok().is("__attribute__") || p.tok().is("__attribute") {
		p.next()
		p.expect("(")
		p.expect("(")
		for !p.tok().is(")") {
			switch name := p.name(); name {
			case "packed", "__packed__":
				l.packed = true
			case "aligned", "__aligned__":
				l.align = 16
				if p.opt("(") {
					l.align = int(p.expr().n)
					p.expect(")")
				}
				if l.align < 1 || l.align > 1<<16 || l.align&(l.align-1) != 0 {
					p.fail("invalid alignment near '%s'", p.near())
				}
			case "mode", "__mode__", "vector_size", "__vector_size__":
				p.fail("attribute '%s' is not supported", name)
			default:
				if p.tok().is("(") && !p.skipParens() {
					p.unexpected(")")
				}
			}
			if !p.opt(",") {
				break
			}
		}
		p.expect(")")
		p.expect(")")
	}
}
