package ffi

type storage uint8

const (
	plain storage = iota
	typedef
	static
)

// specifiers are what a declaration begins with: its type without declarators.
type specifiers struct{ ct *ctype }

var typeWords = map[string]bool{
	"void": true, "char": true, "short": true, "int": true, "long": true, "float": true, "double": true, "bool": true, "_Bool": true,
	"signed": true, "unsigned": true, "__signed": true, "__signed__": true,
}

var otherWords = map[string]bool{
	"struct": true, "union": true, "enum": true, "const": true, "volatile": true, "__const": true, "__volatile": true,
	"__const__": true, "__volatile__": true, "restrict": true, "__restrict": true, "__restrict__": true,
}

var storageWords = map[string]storage{
	"typedef": typedef, "static": static, "extern": plain, "inline": plain, "__inline": plain, "__inline__": plain,
	"register": plain, "auto": plain, "__extension__": plain, "_Noreturn": plain,
}

func (p *parser) typedefOf(name string) *ctype {
	if ct := p.d.typedefs[name]; ct != nil {
		return ct
	}
	return predefined[name]
}

// beginsType reports whether a name can be the first of a parameter.
func (p *parser) beginsType(t token) bool {
	_, isStorage := storageWords[t.text]
	return typeWords[t.text] || otherWords[t.text] || isStorage || p.typedefOf(t.text) != nil
}

// specifiers reads them in any order, as C allows.
func (p *parser) specifiers() (specifiers, storage) {
	class, ct := plain, (*ctype)(nil)
	words := make(map[string]int)
	var constant, volatile bool
	var l layout
loop:
	for {
		p.qualifiers(func(c, v bool) { constant, volatile = constant || c, volatile || v })
		p.attributes(&l)
		t := p.tok()
		if t.kind == tokParam && ct == nil && len(words) == 0 {
			ct = p.param()
			continue
		}
		if t.kind != tokName {
			break
		}
		s, isStorage := storageWords[t.text]
		switch {
		case isStorage:
			if s != plain {
				class = s
			}
			p.pos++
		case typeWords[t.text]:
			words[t.text]++
			p.pos++
		case ct != nil || len(words) > 0:
			break loop
		case t.text == "struct" || t.text == "union":
			ct = p.record()
		case t.text == "enum":
			ct = p.enumeration()
		default:
			if ct = p.typedefOf(t.text); ct == nil {
				break loop
			}
			p.pos++
		}
	}
	if len(words) > 0 && ct == nil {
		ct = p.basic(words)
	}
	if ct == nil {
		p.fail("declaration specifier expected near '%s'", p.near())
	}
	return specifiers{ct.qualified(constant, volatile)}, class
}

// param takes the type that a $ stands for.
func (p *parser) param() *ctype {
	for i, v := range p.params {
		if ct := typeOfValue(v); ct != nil {
			p.params = p.params[i+1:]
			p.pos++
			return ct
		}
	}
	p.fail("wrong number of type parameters")
	return nil
}

// basic is the type that a set of words names.
func (p *parser) basic(w map[string]int) *ctype {
	unsigned := w["unsigned"] > 0
	pick := func(s, u *ctype) *ctype {
		if unsigned {
			return u
		}
		return s
	}
	switch {
	case w["void"] > 0:
		return tVoid
	case w["bool"]+w["_Bool"] > 0:
		return tBool
	case w["float"] > 0:
		return tFloat
	case w["double"] > 0 && w["long"] > 0:
		p.fail("type 'long double' is not supported")
	case w["double"] > 0:
		return tDouble
	case w["char"] > 0:
		return pick(tInt8, tUint8)
	case w["short"] > 0:
		return pick(tInt16, tUint16)
	case w["long"] > 0:
		return pick(tInt64, tUint64)
	}
	return pick(tInt32, tUint32)
}

// tagged returns the type of "struct tag", made if it is new.
func (p *parser) tagged(what, tag string, fresh func(id int) *ctype) *ctype {
	if tag != "" {
		if ct := p.d.tags[tag]; ct != nil {
			isEnum := ct.kind == kEnum
			if isEnum != (what == "enum") || !isEnum && ct.rec.union != (what == "union") {
				p.fail("attempt to redefine '%s'", tag)
			}
			return ct
		}
		if p.known && !p.tok().is("{") {
			p.fail("undeclared or implicit tag '%s'", tag)
		}
	}
	p.d.ids++
	p.made = true
	ct := fresh(p.d.ids)
	if tag != "" {
		p.d.tags[tag] = ct
	}
	return ct
}

func (p *parser) record() *ctype {
	p.enter()
	defer p.leave()
	what := p.next().text
	var l layout
	p.attributes(&l)
	tag := ""
	if p.tok().kind == tokName {
		tag = p.next().text
	}
	ct := p.tagged(what, tag, func(id int) *ctype {
		return &ctype{kind: kStruct, rec: &record{union: what == "union", tag: tag, id: id, size: unknown}}
	})
	if !p.tok().is("{") {
		if tag == "" {
			p.unexpected("{")
		}
		return ct
	}
	if ct.rec.complete {
		p.fail("attempt to redefine '%s'", tag)
	}
	p.next()
	rec := &record{}
	for !p.opt("}") {
		if p.tok().kind == tokEOF {
			p.unexpected("}")
		}
		p.members(rec)
	}
	p.attributes(&l)
	r := ct.rec
	if r.complete {
		p.fail("attempt to redefine '%s'", tag)
	}
	r.fields = rec.fields
	if !r.finish(l.packed, l.align) {
		r.fields, r.names, r.complete = nil, nil, false
		p.fail("size of C type is unknown or too large")
	}
	return ct
}

// members reads one declaration in a record.
func (p *parser) members(r *record) {
	spec, class := p.specifiers()
	if p.opt(";") {
		if spec.ct.kind == kStruct && spec.ct.rec.tag == "" {
			r.fields = append(r.fields, field{ct: spec.ct})
		}
		return
	}
	for {
		f := field{ct: spec.ct}
		if !p.tok().is(":") {
			f.ct, f.name, _ = p.namedDeclarator(spec.ct)
		}
		switch {
		case p.opt(":"):
			f.bits = p.width(&f)
		case p.tok().is("=") && class == static:
			p.declare(class, f.ct, f.name, "")
			f.name, f.ct = "", nil
		}
		if f.ct != nil {
			if f.ct.sizeof() < 0 && !(f.ct.kind == kArray && !r.union) {
				p.fail("size of C type is unknown or too large")
			}
			if n := len(r.fields); n > 0 && r.fields[n-1].ct.sizeof() < 0 {
				p.fail("size of C type is unknown or too large") // only the last one may be open
			}
			r.fields = append(r.fields, f)
		}
		if !p.opt(",") {
			break
		}
	}
	p.expect(";")
}

// width reads the width of a bit field, -1 for 0.
func (p *parser) width(f *field) int {
	n := p.expr().n
	if f.ct.kind != kInt && f.ct.kind != kBool && f.ct.kind != kEnum || n < 0 || n > int64(8*f.ct.size) || n == 0 && f.name != "" {
		p.fail("invalid width of bit field '%s'", f.name)
	}
	if n == 0 {
		return -1
	}
	return int(n)
}

func (p *parser) enumeration() *ctype {
	p.next()
	p.attributes(&layout{})
	tag := ""
	if p.tok().kind == tokName {
		tag = p.next().text
	}
	ct := p.tagged("enum", tag, func(id int) *ctype {
		return &ctype{kind: kEnum, size: 4, unsigned: true, enum: &enumeration{tag: tag, id: id, base: tUint32}}
	})
	if !p.tok().is("{") {
		if tag == "" {
			p.unexpected("{")
		}
		return ct
	}
	e := ct.enum
	if e.values != nil {
		p.fail("attempt to redefine '%s'", tag)
	}
	p.next()
	e.values = make(map[string]int64)
	for next := int64(0); !p.opt("}"); next++ {
		name := p.name()
		if p.opt("=") {
			next = p.expr().n
		}
		if next < 0 {
			e.base, ct.unsigned = tInt32, false
		}
		e.values[name] = next
		p.d.constants[name] = constant{value: next}
		if !p.opt(",") {
			p.expect("}")
			break
		}
	}
	return ct
}
