package httplua

import (
	"fmt"
	"math"
	"runtime/debug"

	"perilune/conf"
	"perilune/luart/vm"
	"perilune/worker/http"
)

// memoryConf is what the http block says about the memory of a worker.
type memoryConf struct {
	gcPercent conf.Setting[int]
	target    conf.Setting[int64]
	soft      conf.Setting[int64]
	hard      conf.Setting[int64]
}

func memoryCommands() []conf.Command {
	return []conf.Command{
		{Name: "lua_gc_percent", Ctx: conf.HTTP, Args: conf.Take1, Level: conf.MainConf, Set: setGCPercent,
			Doc: "how many percent of the memory in use may become garbage before a worker collects it, 400 by default; off leaves it to lua_memory_target (not in ngx_lua)"},
		{Name: "lua_memory_target", Ctx: conf.HTTP, Args: conf.Take1, Level: conf.MainConf,
			Set: conf.SetSize(func(m *mainConf) *conf.Setting[int64] { return &m.memory.target }),
			Doc: "how much memory a worker shall take at most: near it, it collects more often than lua_gc_percent says; no limit, 0 is none (not in ngx_lua)"},
		{Name: "lua_memory_limit", Ctx: conf.HTTP, Args: conf.Take1, Level: conf.MainConf,
			Set: conf.SetSize(func(m *mainConf) *conf.Setting[int64] { return &m.memory.soft }, noTinyLimit),
			Doc: "from how much memory of a worker on Lua code that wants more fails with `not enough memory`; by default lua_memory_hard_limit (not in ngx_lua)"},
		{Name: "lua_memory_hard_limit", Ctx: conf.HTTP, Args: conf.Take1, Level: conf.MainConf,
			Set: conf.SetSize(func(m *mainConf) *conf.Setting[int64] { return &m.memory.hard }, noTinyLimit),
			Doc: "from how much memory in use on a worker is replaced: another one is started, and it finishes its requests; no limit, 0 is none (not in ngx_lua)"},
	}
}

func setGCPercent(cf *conf.Conf, c any) error {
	s := &c.(*mainConf).memory.gcPercent
	if s.IsSet {
		return conf.ErrDuplicate
	}
	if cf.Args[1] == "off" {
		s.Set(-1)
		return nil
	}
	n, err := conf.ParseNum(cf.Args[1])
	if err != nil || n == 0 || n > math.MaxInt32 {
		return conf.Errorf("invalid value \"%s\"", cf.Args[1])
	}
	s.Set(n)
	return nil
}

// minMemoryLimit is more than a worker takes that has just started.
const minMemoryLimit = 16 << 20

func noTinyLimit(_ *conf.Conf, n int64) error {
	if n != 0 && n < minMemoryLimit {
		return conf.Errorf("the limit must be at least %dm", minMemoryLimit>>20)
	}
	return nil
}

func (c *memoryConf) check() error {
	c.soft.Merge(c.hard, 0)
	if c.gcPercent.V < 0 && c.target.V == 0 {
		return conf.PlainErrorf("\"lua_gc_percent off\" needs a \"lua_memory_target\"")
	}
	return nil
}

// apply makes the process heed what was said; the rest is as it is in any worker.
func (c *memoryConf) apply() {
	if c.gcPercent.IsSet {
		debug.SetGCPercent(c.gcPercent.V)
	}
	if c.target.V > 0 {
		debug.SetMemoryLimit(c.target.V)
	}
}

// Outgrown says that a worker is to be replaced, because of the memory that it has in
// use; "" if not.
func Outgrown(srv *http.Server) string {
	if srv.Cycle().HTTP == nil {
		return ""
	}
	limit := mainConfOf(srv).memory.hard.V
	if limit == 0 {
		return ""
	}
	if n := vm.LiveMemory(); n > limit {
		return fmt.Sprintf("%d bytes of memory are in use, more than lua_memory_hard_limit allows", n)
	}
	return ""
}
