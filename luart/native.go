package luart

import (
	"os"
	"strings"

	"perilune/luart/vm"
)

// refuseNative makes require say what is wrong when a module is to be had only as
// a native library: there is no C in this process to load it into.
func (rt *Runtime) refuseNative() {
	p := rt.packageTable()
	if p == nil {
		return
	}
	loaders, ok := p.GetStr("loaders").AsTable()
	if !ok {
		return
	}
	loaders.Append(rt.vm.NewFunction("loader_C", func(t *vm.Thread) int { return rt.searchNative(t) }))
}

func (rt *Runtime) searchNative(t *vm.Thread) int {
	name := t.CheckString(1)
	cpath, _ := rt.packageTable().GetStr("cpath").AsString()
	file := strings.ReplaceAll(name, ".", "/")
	if i := strings.IndexByte(file, '-'); i >= 0 {
		file = file[i+1:] // what is before the dash only tells versions apart
	}
	var tried strings.Builder
	for _, pattern := range strings.Split(cpath, ";") {
		if pattern == "" {
			continue
		}
		path := strings.ReplaceAll(pattern, "?", file)
		if f, err := os.Open(path); err == nil {
			_ = f.Close()
			return raise(t, "error loading module '%s' from file '%s':\n\tnative modules cannot be loaded: perilune runs Lua code only", name, path)
		}
		tried.WriteString("\n\tno file '" + path + "'")
	}
	t.PushString(tried.String())
	return 1
}
