package luart

import (
	"embed"

	"perilune/luart/vm"
)

// luaFiles are the bundled modules that are written in Lua.
//
//go:embed lua/*.lua
var luaFiles embed.FS

// openLua runs the file of a bundled module.
func openLua(name, file string) func(rt *Runtime) *vm.Table {
	return func(rt *Runtime) *vm.Table {
		source, err := luaFiles.ReadFile("lua/" + file)
		if err != nil {
			panic(err) // the file is part of the program
		}
		fn, err := rt.vm.Load(source, "="+name)
		if err != nil {
			panic(err)
		}
		results, err := rt.vm.NewThread().Call(fn.Value())
		if err != nil {
			panic(err)
		}
		tab, _ := first(results).AsTable()
		return tab
	}
}
