package ffi

import "strconv"

// String is the type's name in messages and in what tostring shows.
func (t *ctype) String() string { return t.declare("", false) }

// declare writes a declaration of what has the name so far. after says that the
// last thing that was put before it was a pointer.
func (t *ctype) declare(name string, pointer bool) string {
	switch t.kind {
	case kPtr:
		star := "*"
		if t.constant {
			star = "*const"
		}
		if t.volatile {
			star = "*volatile"
		}
		if name != "" && name[0] != '(' && star != "*" {
			star += " "
		}
		return t.elem.declare(star+name, true)
	case kArray:
		if pointer {
			name = "(" + name + ")"
		}
		switch {
		case t.variable:
			name += "[?]"
		case t.length < 0:
			name += "[]"
		default:
			name += "[" + strconv.Itoa(t.length) + "]"
		}
		return t.elem.declare(name, false)
	case kFunc:
		if pointer {
			name = "(" + name + ")"
		}
		return t.elem.declare(name+"()", false)
	}
	s := t.specifier()
	if t.volatile {
		s = "volatile " + s
	}
	if t.constant {
		s = "const " + s
	}
	if name != "" {
		s += " " + name
	}
	return s
}

func (t *ctype) specifier() string {
	switch t.kind {
	case kVoid:
		return "void"
	case kBool:
		return "bool"
	case kFloat:
		if t.size == 4 {
			return "float"
		}
		return "double"
	case kEnum:
		return "enum " + tagOf(t.enum.tag, t.enum.id)
	case kStruct:
		if t.rec.union {
			return "union " + tagOf(t.rec.tag, t.rec.id)
		}
		return "struct " + tagOf(t.rec.tag, t.rec.id)
	}
	s := map[int]string{1: "char", 2: "short", 4: "int"}[t.size]
	switch {
	case t.size == 8 && t.unsigned:
		return "uint64_t"
	case t.size == 8:
		return "int64_t"
	case t.unsigned:
		return "unsigned " + s
	}
	return s
}

func tagOf(tag string, id int) string {
	if tag == "" {
		return strconv.Itoa(id)
	}
	return tag
}

// refName is how a reference to an aggregate prints.
func (t *ctype) refName() string {
	return t.declare("&", true)
}
