package ffi

// value is the value of a constant expression.
type value struct {
	n        int64
	unsigned bool
}

// binary operators of constant expressions by how tight they bind.
var precedence = map[string]int{
	"||": 1, "&&": 2, "|": 3, "^": 4, "&": 5, "==": 6, "!=": 6, "<": 7, ">": 7, "<=": 7, ">=": 7,
	"<<": 8, ">>": 8, "+": 9, "-": 9, "*": 10, "/": 10, "%": 10,
}

// expr reads a constant expression.
func (p *parser) expr() value {
	p.enter()
	defer p.leave()
	v := p.binary(1)
	if !p.opt("?") {
		return v
	}
	yes := p.expr()
	p.expect(":")
	no := p.expr()
	if v.n == 0 {
		yes.n = no.n
	}
	return value{yes.n, yes.unsigned || no.unsigned}
}

func (p *parser) binary(level int) value {
	p.enter()
	defer p.leave()
	a := p.unary()
	for {
		op := p.tok()
		prec := precedence[op.text]
		if op.kind != tokPunct || prec < level {
			return a
		}
		p.next()
		a = p.operate(op.text, a, p.binary(prec+1))
	}
}

func truth(b bool) value {
	if b {
		return value{n: 1}
	}
	return value{}
}

func (p *parser) operate(op string, a, b value) value {
	unsigned := a.unsigned || b.unsigned
	less := a.n < b.n
	if unsigned {
		less = uint64(a.n) < uint64(b.n)
	}
	r := value{unsigned: unsigned}
	switch op {
	case "||":
		return truth(a.n != 0 || b.n != 0)
	case "&&":
		return truth(a.n != 0 && b.n != 0)
	case "==":
		return truth(a.n == b.n)
	case "!=":
		return truth(a.n != b.n)
	case "<":
		return truth(less)
	case ">=":
		return truth(!less)
	case ">":
		return truth(!less && a.n != b.n)
	case "<=":
		return truth(less || a.n == b.n)
	case "|":
		r.n = a.n | b.n
	case "^":
		r.n = a.n ^ b.n
	case "&":
		r.n = a.n & b.n
	case "+":
		r.n = a.n + b.n
	case "-":
		r.n = a.n - b.n
	case "*":
		r.n = a.n * b.n
	case "<<":
		return value{a.n << (uint(b.n) & 63), a.unsigned}
	case ">>":
		if a.unsigned {
			return value{int64(uint64(a.n) >> (uint(b.n) & 63)), true}
		}
		return value{a.n >> (uint(b.n) & 63), false}
	default:
		if b.n == 0 {
			p.fail("division by zero in a constant expression")
		}
		switch {
		case unsigned && op == "/":
			r.n = int64(uint64(a.n) / uint64(b.n))
		case unsigned:
			r.n = int64(uint64(a.n) % uint64(b.n))
		case op == "/":
			r.n = a.n / b.n
		default:
			r.n = a.n % b.n
		}
	}
	return r
}

func (p *parser) unary() value {
	p.enter()
	defer p.leave()
	t := p.next()
	switch {
	case t.kind == tokNumber:
		return value{t.num, t.unsigned}
	case t.is("+"):
		return p.unary()
	case t.is("-"):
		v := p.unary()
		return value{-v.n, v.unsigned}
	case t.is("~"):
		v := p.unary()
		return value{^v.n, v.unsigned}
	case t.is("!"):
		return truth(p.unary().n == 0)
	case t.is("sizeof"), t.is("__alignof__"):
		return p.sizeOf(t.text)
	case t.is("("):
		if n := p.tok(); n.kind == tokParam || n.kind == tokName && p.beginsType(n) {
			return p.castTo()
		}
		v := p.expr()
		p.expect(")")
		return v
	case t.kind == tokName:
		if c, ok := p.d.constants[t.text]; ok {
			return value{c.value, c.unsigned}
		}
	}
	if t.kind != tokEOF {
		p.pos--
	}
	p.fail("unexpected symbol near '%s'", p.near())
	return value{}
}

func (p *parser) sizeOf(what string) value {
	p.expect("(")
	spec, _ := p.specifiers()
	ct := p.abstractDeclarator(spec.ct)
	p.expect(")")
	n := ct.sizeof()
	if n < 0 {
		p.fail("size of C type is unknown or too large")
	}
	if what != "sizeof" {
		n = ct.alignof()
	}
	return value{int64(n), true}
}

func (p *parser) castTo() value {
	spec, _ := p.specifiers()
	ct := p.abstractDeclarator(spec.ct)
	p.expect(")")
	v := p.unary()
	if ct.kind != kInt && ct.kind != kBool && ct.kind != kEnum {
		p.fail("invalid C type")
	}
	c := ct.constantOf(v)
	return value{c.value, c.unsigned}
}
