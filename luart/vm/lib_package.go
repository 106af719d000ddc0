package vm

import (
	"os"
	"strings"
)

// DefaultPath is package.path where the environment variable LUA_PATH is not set.
const DefaultPath = "./?.lua;/usr/local/share/lua/5.1/?.lua;/usr/local/share/lua/5.1/?/init.lua"

func (m *VM) openPackage() {
	lib := newTable(0, 8)
	loaded := newTable(0, 16)
	lib.SetStr("loaded", loaded.Value())
	lib.SetStr("preload", newTable(0, 4).Value())
	path, set := os.LookupEnv("LUA_PATH")
	switch {
	case !set:
		path = DefaultPath
	default:
		path = strings.ReplaceAll(strings.ReplaceAll(path, ";;", ";\x01;"), "\x01", DefaultPath)
	}
	lib.SetStr("path", String(path))
	lib.SetStr("cpath", String(os.Getenv("LUA_CPATH")))
	lib.SetStr("config", String("/\n;\n?\n!\n-\n"))
	m.registry.SetStr("_LOADED", loaded.Value())
	loaders := newTable(2, 0)
	loaders.Append(m.NewFunction("preload_loader", preloadLoader, lib.Value()))
	loaders.Append(m.NewFunction("lua_loader", luaLoader, lib.Value()))
	lib.SetStr("loaders", loaders.Value())
	m.Register(lib, []Reg{
		{"loadlib", packageLoadlib, "always fails: there are no C libraries"},
		{"seeall", packageSeeall, "let a module see the globals"},
		{"searchpath", packageSearchpath, "find a file by a path of templates"},
	})
	m.globals.SetStr("package", lib.Value())
	loaded.SetStr("package", lib.Value())
	loaded.SetStr("_G", m.globals.Value())
	m.globals.SetStr("require", m.NewFunction("require", require, lib.Value()))
	m.globals.SetStr("module", m.NewFunction("module", module))
}

// searchPath returns the first readable file, or the message of what was tried.
func searchPath(name, path, sep, dirSep string) (file, tried string) {
	if sep != "" {
		name = strings.ReplaceAll(name, sep, dirSep)
	}
	var b strings.Builder
	for tmpl := range strings.SplitSeq(path, ";") {
		if tmpl == "" {
			continue
		}
		f := strings.ReplaceAll(tmpl, "?", name)
		if h, err := os.Open(f); err == nil {
			st, err := h.Stat()
			if cerr := h.Close(); err == nil && cerr == nil && !st.IsDir() {
				return f, ""
			}
		}
		b.WriteString("\n\tno file '" + f + "'")
	}
	return "", b.String()
}

func packageSearchpath(t *Thread) int {
	path := t.CheckString(2) // before the name, as C evaluates arguments
	f, tried := searchPath(t.CheckString(1), path, t.OptString(3, "."), t.OptString(4, "/"))
	if f == "" {
		t.PushNil()
		t.PushString(tried)
		return 2
	}
	t.PushString(f)
	return 1
}

func packageLoadlib(t *Thread) int {
	t.CheckString(1)
	t.CheckString(2)
	t.PushNil()
	t.PushString("dynamic libraries not enabled; check your Lua installation")
	t.PushString("absent")
	return 3
}

func preloadLoader(t *Thread) int {
	name := t.CheckString(1)
	preload, ok := t.Index(t.Upvalue(1), String("preload")).AsTable()
	if !ok {
		t.Errorf("'package.preload' must be a table")
	}
	if f := preload.GetStr(name); f.p != nil {
		t.Push(f)
		return 1
	}
	t.PushString("\n\tno field package.preload['" + name + "']")
	return 1
}

func luaLoader(t *Thread) int {
	name := t.CheckString(1)
	path, ok := t.Index(t.Upvalue(1), String("path")).AsString()
	if !ok {
		t.Errorf("'package.path' must be a string")
	}
	file, tried := searchPath(name, path, ".", "/")
	if file == "" {
		t.PushString(tried)
		return 1
	}
	f, err := t.m.LoadFile(file)
	if err != nil {
		t.Errorf("error loading module '%s' from file '%s':\n\t%s", name, file, err)
	}
	t.Push(f.Value())
	return 1
}

// loading marks a module whose loader runs.
var loading = LightUserdata(1)

func require(t *Thread) int {
	name := t.CheckString(1)
	key := String(name)
	loaded, _ := t.m.registry.GetStr("_LOADED").AsTable()
	if v := loaded.Get(key); v.Truthy() {
		if v == loading {
			t.Errorf("loop or previous error loading module '%s'", name)
		}
		t.Push(v)
		return 1
	}
	loader := t.findLoader(name, key)
	loaded.setStr(key.str(), loading)
	var res Value
	// Another thread that wants the module meanwhile would fail.
	t.m.alone(func() { res = t.CallValue(loader, 1, key)[0] })
	if res.p != nil {
		loaded.Set(key, res)
	} else if loaded.Get(key) == loading {
		loaded.Set(key, True)
	}
	t.Push(loaded.Get(key))
	return 1
}

func (t *Thread) findLoader(name string, key Value) Value {
	loaders, ok := t.Index(t.Upvalue(1), String("loaders")).AsTable()
	if !ok {
		t.Errorf("'package.loaders' must be a table")
	}
	tried := ""
	for i := 1; ; i++ {
		l := loaders.GetInt(i)
		if l.p == nil {
			t.Errorf("module '%s' not found:%s", name, tried)
		}
		r := t.CallValue(l, 1, key)[0]
		if r.IsFunction() {
			return r
		}
		if s, ok := r.ToStringCoerced(); ok {
			tried += s
		}
	}
}

// module is Lua 5.1's module function.
func module(t *Thread) int {
	name := t.CheckString(1)
	loaded, _ := t.m.registry.GetStr("_LOADED").AsTable()
	mod, ok := loaded.GetStr(name).AsTable()
	if !ok {
		if mod, ok = t.globalTable(name); !ok {
			t.Errorf("name conflict for module '%s'", name)
		}
		loaded.SetStr(name, mod.Value())
	}
	if mod.GetStr("_NAME").p == nil {
		mod.SetStr("_M", mod.Value())
		mod.SetStr("_NAME", String(name))
		mod.SetStr("_PACKAGE", String(name[:strings.LastIndexByte(name, '.')+1]))
	}
	ci := t.level(1)
	if ci < 0 || t.frames[ci].kind != frLua {
		t.ErrorValue(String("'module' not called from a Lua function"), 0)
	}
	t.frames[ci].fn.env = mod
	for i := 2; i <= t.nargs; i++ {
		t.CallValue(t.Arg(i), 0, mod.Value())
	}
	return 0
}

// globalTable finds or makes the table for a dotted name.
func (t *Thread) globalTable(name string) (*Table, bool) {
	cur := t.m.globals
	for part := range strings.SplitSeq(name, ".") {
		v := cur.GetStr(part)
		if v.p == nil {
			v = newTable(0, 0).Value()
			cur.SetStr(part, v)
		}
		next, ok := v.AsTable()
		if !ok {
			return nil, false
		}
		cur = next
	}
	return cur, true
}

func packageSeeall(t *Thread) int {
	mod := t.CheckTable(1)
	if mod.meta == nil {
		mod.SetMetatable(newTable(0, 1))
	}
	mod.meta.SetStr("__index", t.m.globals.Value())
	return 0
}
