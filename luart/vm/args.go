package vm

import "fmt"

// CheckString returns argument i as a string; numbers are converted.
func (t *Thread) CheckString(i int) string {
	v := t.Arg(i)
	if v.isStr() {
		return v.str().s
	}
	s, ok := v.ToStringCoerced()
	if !ok {
		t.TypeError(i, "string")
	}
	return s
}

// CheckNumber returns argument i as a number; strings are converted.
func (t *Thread) CheckNumber(i int) float64 {
	v := t.Arg(i)
	if v.isNum() {
		return v.float()
	}
	f, ok := v.ToNumberCoerced()
	if !ok {
		t.TypeError(i, "number")
	}
	return f
}

// CheckInt returns argument i as an integer, as a C cast would make it of a
// number.
func (t *Thread) CheckInt(i int) int { return floatToInt(t.CheckNumber(i)) }

// floatToInt truncates; what does not fit becomes the integer indefinite, as on
// x86.
func floatToInt(f float64) int {
	if f >= -9223372036854775808 && f < 9223372036854775808 {
		return int(f)
	}
	return -1 << 63
}

// CheckTable returns argument i as a table.
func (t *Thread) CheckTable(i int) *Table {
	v := t.Arg(i)
	if !v.isTab() {
		t.TypeError(i, "table")
	}
	return v.tab()
}

// CheckFunction returns argument i, which must be a function.
func (t *Thread) CheckFunction(i int) Value {
	v := t.Arg(i)
	if !v.isFunc() {
		t.TypeError(i, "function")
	}
	return v
}

// CheckAny returns argument i, which must be given.
func (t *Thread) CheckAny(i int) Value {
	if i > t.nargs {
		t.ArgError(i, "value expected")
	}
	return t.Arg(i)
}

// CheckUserdata returns argument i as a full userdata.
func (t *Thread) CheckUserdata(i int) *Userdata {
	v := t.Arg(i)
	if v.n != tagUserdata {
		t.TypeError(i, "userdata")
	}
	return v.udata()
}

// OptString is CheckString with a default for nil.
func (t *Thread) OptString(i int, def string) string {
	if t.Arg(i).p == nil {
		return def
	}
	return t.CheckString(i)
}

// OptInt is CheckInt with a default for nil.
func (t *Thread) OptInt(i, def int) int {
	if t.Arg(i).p == nil {
		return def
	}
	return t.CheckInt(i)
}

// OptNumber is CheckNumber with a default for nil.
func (t *Thread) OptNumber(i int, def float64) float64 {
	if t.Arg(i).p == nil {
		return def
	}
	return t.CheckNumber(i)
}

// ToBool reports whether argument i counts as true.
func (t *Thread) ToBool(i int) bool { return !t.Arg(i).falsy() }

// Errorf raises an error with the position of the caller, as luaL_error does.
func (t *Thread) Errorf(format string, args ...any) {
	panic(&thrown{value: String(t.Where(1) + fmt.Sprintf(format, args...))})
}

// ErrorValue raises v. If it is a string and level is not 0, the position of
// that level is prepended.
func (t *Thread) ErrorValue(v Value, level int) {
	if level > 0 && v.isStr() {
		v = String(t.Where(level) + v.str().s)
	}
	panic(&thrown{value: v})
}

// ArgError raises "bad argument #i to 'f' (msg)".
func (t *Thread) ArgError(i int, msg string) {
	name, what := "?", ""
	if n, w := t.callName(t.ci); n != "" {
		name, what = n, w
	}
	if what == "method" {
		i--
		if i == 0 {
			t.Errorf("calling '%s' on bad self (%s)", name, msg)
		}
	}
	t.Errorf("bad argument #%d to '%s' (%s)", i, name, msg)
}

// TypeError raises "bad argument #i to 'f' (want expected, got …)".
func (t *Thread) TypeError(i int, want string) {
	got := "no value"
	if i <= t.nargs {
		got = t.Arg(i).TypeName()
	}
	t.ArgError(i, want+" expected, got "+got)
}

// CheckOption returns the index in options of argument i, a string; def, if not
// "", stands for nil.
func (t *Thread) CheckOption(i int, def string, options ...string) int {
	s := def
	if def == "" || t.Arg(i).p != nil {
		s = t.CheckString(i)
	}
	for n, o := range options {
		if o == s {
			return n
		}
	}
	t.ArgError(i, "invalid option '"+s+"'")
	return 0
}
