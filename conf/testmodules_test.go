package conf

import (
	"time"

	"perilune/logging"
)

// The modules below stand in for those of worker/http and worker/httplua: as
// much of nginx's own directives as the tests of the parser need.

type testMain struct {
	init Setting[string]
}

type testLoc struct {
	Sendfile   Setting[bool]
	Type       Setting[string]
	Requests   Setting[int]
	BufferSize Setting[int64]
	MaxBody    Setting[int64]
	Timeout    Setting[time.Duration]
	Lingering  Setting[time.Duration]
	Satisfy    Setting[string]
	Output     Setting[Bufs]
	Disable    Setting[uint]
	Content    Setting[string]
	types      map[string]string
	name       string
}

const anyHTTP = HTTP | Server | Location

func testModules() []*Module {
	httpBlock := &Module{
		Name: "http", Kind: CoreKind,
		Commands: []Command{{
			Name: "http", Ctx: Main, Args: NoArgs | Block,
			Set: func(cf *Conf, _ any) error { return cf.HTTPBlock(nil) },
		}},
	}
	return append(Modules(), httpBlock, testHTTPModule(), testLuaModule())
}

func testHTTPModule() *Module {
	return &Module{
		Name: "test_http", Kind: HTTPKind,
		CreateMain: func(*Conf) any { return &testMain{} },
		CreateLoc:  func(*Conf) any { return &testLoc{} },
		MergeLoc: func(_ *Conf, prev, c any) error {
			p, l := prev.(*testLoc), c.(*testLoc)
			l.Sendfile.Merge(p.Sendfile, false)
			l.Type.Merge(p.Type, "text/plain")
			l.Requests.Merge(p.Requests, 1000)
			l.MaxBody.Merge(p.MaxBody, 1<<20)
			return nil
		},
		Commands: []Command{
			{
				Name: "server", Ctx: HTTP, Args: NoArgs | Block,
				Set: func(cf *Conf, _ any) error { return cf.ParseBlock(Server, cf.NewServer()) },
			}, {
				Name: "location", Ctx: Server | Location, Args: Take12 | Block, Level: SrvConf,
				Set: func(cf *Conf, _ any) error {
					ctx := cf.NewLocation()
					ctx.Loc[0].(*testLoc).name = cf.Args[len(cf.Args)-1]
					return cf.ParseBlock(Location, ctx)
				},
			}, {
				Name: "listen", Ctx: Server, Args: OneMore, Level: SrvConf,
				Set: func(*Conf, any) error { return nil },
			}, {
				Name: "types", Ctx: anyHTTP, Args: NoArgs | Block, Level: LocConf,
				Set: func(cf *Conf, c any) error { return cf.ParseEntries(c.(*testLoc).entry) },
			},
			{Name: "sendfile", Ctx: anyHTTP | LocationIf, Args: Flag, Level: LocConf,
				Set: SetFlag(func(l *testLoc) *Setting[bool] { return &l.Sendfile })},
			{Name: "default_type", Ctx: anyHTTP, Args: Take1, Level: LocConf,
				Set: SetStr(func(l *testLoc) *Setting[string] { return &l.Type })},
			{Name: "keepalive_requests", Ctx: anyHTTP, Args: Take1, Level: LocConf,
				Set: SetNum(func(l *testLoc) *Setting[int] { return &l.Requests })},
			{Name: "client_body_buffer_size", Ctx: anyHTTP, Args: Take1, Level: LocConf,
				Set: SetSize(func(l *testLoc) *Setting[int64] { return &l.BufferSize })},
			{Name: "client_max_body_size", Ctx: anyHTTP, Args: Take1, Level: LocConf,
				Set: SetOff(func(l *testLoc) *Setting[int64] { return &l.MaxBody })},
			{Name: "send_timeout", Ctx: anyHTTP, Args: Take1, Level: LocConf,
				Set: SetMsec(func(l *testLoc) *Setting[time.Duration] { return &l.Timeout })},
			{Name: "auth_delay", Ctx: anyHTTP, Args: Take1, Level: LocConf,
				Set: SetMsec(func(l *testLoc) *Setting[time.Duration] { return &l.Lingering })},
			{Name: "satisfy", Ctx: anyHTTP, Args: Take1, Level: LocConf,
				Set: SetEnum(func(l *testLoc) *Setting[string] { return &l.Satisfy },
					map[string]string{"all": "all", "any": "any"})},
			{Name: "output_buffers", Ctx: anyHTTP, Args: Take2, Level: LocConf,
				Set: SetBufs(func(l *testLoc) *Setting[Bufs] { return &l.Output })},
			{Name: "keepalive_disable", Ctx: anyHTTP, Args: Take12, Level: LocConf,
				Set: SetBits(func(l *testLoc) *Setting[uint] { return &l.Disable },
					map[string]uint{"none": 1, "msie6": 2, "safari": 4})},
		},
	}
}

func (l *testLoc) entry(cf *Conf) error {
	if cf.Args[0] == "include" {
		if len(cf.Args) != 2 {
			return Errorf("invalid number of arguments in \"include\" directive")
		}
		return cf.Include(cf.Args[1])
	}
	if l.types == nil {
		l.types = make(map[string]string)
	}
	for _, ext := range cf.Args[1:] {
		l.types[ext] = cf.Args[0]
	}
	return nil
}

func runnable(source []byte) error {
	if len(source) == 0 {
		return ErrorAt(logging.Error, "invalid location config: no runnable Lua code")
	}
	return nil
}

func testLuaModule() *Module {
	return &Module{
		Name: "test_lua", Kind: HTTPKind,
		CreateMain: func(*Conf) any { return &testMain{} },
		CreateLoc:  func(*Conf) any { return &testLoc{} },
		Commands: []Command{
			{
				Name: "init_by_lua_block", Ctx: HTTP, Args: NoArgs | LuaBlock, Level: MainConf,
				Set: func(cf *Conf, c any) error {
					m := c.(*testMain)
					if m.init.IsSet {
						return ErrDuplicate
					}
					m.init.Set(string(cf.Lua.Source))
					return runnable(cf.Lua.Source)
				},
			}, {
				Name: "content_by_lua_block", Ctx: Location | LocationIf, Args: NoArgs | LuaBlock, Level: LocConf,
				Set: func(cf *Conf, c any) error {
					l := c.(*testLoc)
					if l.Content.IsSet {
						return ErrDuplicate
					}
					l.Content.Set(cf.LuaChunkName("content_by_lua") + "\n" + string(cf.Lua.Source))
					return runnable(cf.Lua.Source)
				},
			}, {
				Name: "content_by_lua", Ctx: Location | LocationIf, Args: Take1, Level: LocConf,
				Set: func(cf *Conf, c any) error {
					l := c.(*testLoc)
					if l.Content.IsSet {
						return ErrDuplicate
					}
					l.Content.Set(cf.LuaChunkName("content_by_lua") + "\n" + cf.Args[1])
					return nil
				},
			}, {
				Name: "set_by_lua_block", Ctx: Server | Location, Args: Take1 | LuaBlock, Level: LocConf,
				Set: func(cf *Conf, c any) error {
					if cf.Args[1][0] != '$' {
						return Errorf("invalid variable name \"%s\"", cf.Args[1])
					}
					return nil
				},
			},
		},
	}
}
