package luart

import (
	"errors"

	"perilune/luart/vm"
)

// openVar makes ngx.var.
func (rt *Runtime) openVar(ngx *vm.Table) {
	tab := rt.vm.NewTable(0, 0)
	mt := rt.vm.NewTable(0, 2)
	mt.SetStr("__index", rt.vm.NewFunction("__index", varIndex))
	mt.SetStr("__newindex", rt.vm.NewFunction("__newindex", varNewIndex))
	tab.SetMetatable(mt)
	ngx.SetStr("var", tab.Value())
}

func varIndex(t *vm.Thread) int {
	c := realRequest(t)
	var value []byte
	var found bool
	switch k := t.Arg(2); k.Type() {
	case vm.TypeString:
		name, _ := k.AsString()
		value, found = c.req.Variable(lower(name))
	case vm.TypeNumber:
		n, _ := k.AsNumber()
		if n > 0 {
			value, found = c.req.Capture(int(n))
		}
	default:
		return raise(t, "bad variable name")
	}
	if found {
		t.PushRecent(value)
	} else {
		t.PushNil()
	}
	return 1
}

func varNewIndex(t *vm.Thread) int {
	c := realRequest(t)
	name, ok := t.Arg(2).AsString()
	if !ok {
		return raise(t, "bad variable name")
	}
	name = lower(name)
	v := t.Arg(3)
	value := ""
	if !v.IsNil() {
		value = t.ToString(v)
	}
	err := c.req.SetVariable(name, value, v.IsNil())
	switch {
	case err == nil:
		return 0
	case errors.Is(err, ErrVariableNotFound):
		return raise(t, "variable \"%s\" not found for writing; maybe it is a built-in variable that is not "+
			"changeable or you forgot to use \"set $%s '';\" in the config file to define it first", name, name)
	}
	return raise(t, "variable \"%s\" %s", name, err.Error())
}
