package httplua

import (
	"strings"

	"perilune/conf"
	"perilune/luart"
	"perilune/worker/http"
)

// setCommands are the directives set_by_lua, set_by_lua_block and set_by_lua_file.
func setCommands() []conf.Command {
	const in = conf.Server | conf.ServerIf | conf.Location | conf.LocationIf
	const doc = "that computes the value of a variable; it takes its turn among set, if and rewrite"
	return []conf.Command{
		{Name: "set_by_lua", Ctx: in, Args: conf.TwoMore, Level: conf.LocConf, Doc: "Lua code in a string " + doc,
			Set: func(cf *conf.Conf, _ any) error { return setByLua(cf, cf.Args[2], false, cf.Args[3:]) }},
		{Name: "set_by_lua_block", Ctx: in, Args: conf.LuaBlock | conf.Take1, Level: conf.LocConf, Doc: "Lua code in braces " + doc,
			Set: func(cf *conf.Conf, _ any) error { return setByLua(cf, string(cf.Lua.Source), false, nil) }},
		{Name: "set_by_lua_file", Ctx: in, Args: conf.TwoMore, Level: conf.LocConf, Doc: "a file of Lua code " + doc,
			Set: func(cf *conf.Conf, _ any) error { return setByLua(cf, cf.Args[2], true, cf.Args[3:]) }},
	}
}

// setByLua makes a step of the rewrite phases.
func setByLua(cf *conf.Conf, source string, file bool, texts []string) error {
	name, ok := strings.CutPrefix(cf.Args[1], "$")
	if !ok || name == "" {
		return conf.Errorf("invalid variable name \"%s\"", cf.Args[1])
	}
	x, err := anyCode(cf, "set_by_lua", source, file)
	if err != nil {
		return err
	}
	args := make([]*http.Script, len(texts))
	for i, text := range texts {
		if args[i], err = http.CompileScript(cf, text); err != nil {
			return err
		}
	}
	set, err := http.SettableVariable(cf, name)
	if err != nil {
		return err
	}
	mainOf(cf).used |= luart.PhaseSet
	http.AddRewriteStep(cf, func(r *http.Request) int { return runSet(r, x, args, set) })
	return nil
}

func runSet(r *http.Request, x *code, args []*http.Script, set func(*http.Request, []byte)) int {
	w := workerOf(r)
	if w == nil {
		return 500
	}
	q := w.contextOf(r, locOf(r))
	if q == nil {
		return 500
	}
	values := make([]string, len(args))
	for i, a := range args {
		values[i] = string(a.AppendTo(r, nil))
	}
	fn, _ := q.load(x)
	if fn == nil {
		return 500
	}
	value, _, rc := q.lua.Runtime().RunSet(&q.lua, fn, values)
	if rc != luart.OK {
		return 500
	}
	set(r, []byte(value))
	return http.OK
}
