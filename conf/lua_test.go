package conf

import (
	"strings"
	"testing"
)

// luaSources gives the code and chunk name of each location of the text.
func luaSources(t *testing.T, text string) []string {
	t.Helper()
	var list []string
	var walk func(*Ctx)
	walk = func(ctx *Ctx) {
		if l := ctx.Loc[1].(*testLoc); l.Content.IsSet {
			list = append(list, l.Content.V)
		}
		for _, child := range ctx.Children {
			walk(child)
		}
	}
	walk(mustLoad(t, text).HTTP)
	return list
}

func TestLuaBlock(t *testing.T) {
	blocks := []string{
		"",
		" ngx.say('}') ",
		"\n local t = { a = { 1, 2 }, [\"}\"] = '\\'}' }\n",
		" x = [[ } ]] y = [==[ ]] } ]=] ]==] ",
		" -- } it's\n --[[ }\n } ]] --[==[ }]] ]==] ",
		" a[b[1]] = c ]] ]==] \n",
		" x = 'open\n ",
		"\\ \" }\" $ ; # \"",
	}
	for _, block := range blocks {
		text := "events {} http { server {\n location /a {\ncontent_by_lua_block {" + block + "x}\n}\nlocation /b { content_by_lua_block { y } } } }"
		got := luaSources(t, text)
		want := "=content_by_lua(nginx.conf:3)\n" + block + "x"
		if len(got) != 2 || got[0] != want {
			t.Errorf("%q: %q", block, got)
			continue
		}
		if !strings.HasSuffix(got[1], "\n y ") {
			t.Errorf("%q: the next block is %q", block, got[1])
		}
	}
}

func TestLuaChunkName(t *testing.T) {
	long := strings.Repeat("d/", 30) + "site.conf"
	tests := []struct{ file, tag, want string }{
		{"/p/conf/nginx.conf", "content_by_lua", "=content_by_lua(nginx.conf:12)"},
		{"/elsewhere/nginx.conf", "content_by_lua", "=content_by_lua(nginx.conf:12)"},
		{"/p/conf/site.conf", "content_by_lua", "=content_by_lua(site.conf:12)"},
		{"/p/conf/conf.d/site.conf", "init_by_lua", "=init_by_lua(conf.d/site.conf:12)"},
		{"/etc/site.conf", "init_by_lua", "=init_by_lua(/etc/site.conf:12)"},
		{"/p/conf/mynginx.conf", "log_by_lua", "=log_by_lua(mynginx.conf:12)"},
		{"/p/conf/" + long, "content_by_lua", "=content_by_lua(...d/d/d/d/d/d/d/d/d/d/d/d/d/d/site.conf:12)"},
		{"/" + long, "content_by_lua", "=content_by_lua(...d/d/d/d/d/d/d/d/d/d/d/d/d/d/site.conf:12)"},
	}
	for _, test := range tests {
		cf := &Conf{
			Cycle: newCycle(&Options{Prefix: "/p"}),
			lex:   &lexer{file: test.file, line: 12},
		}
		if got := cf.LuaChunkName(test.tag); got != test.want {
			t.Errorf("%s: %s, want %s", test.file, got, test.want)
		}
	}
	if n := len(tests[6].want); n != luaNameLen+len("=(:)") {
		t.Errorf("a cut name has %d bytes", n)
	}
}

func TestLuaStringChunkLine(t *testing.T) {
	got := luaSources(t, "events {} http { server { location / {\n\ncontent_by_lua '\n a = 1\n'\n; } } }")
	want := "=content_by_lua(nginx.conf:6)\n\n a = 1\n"
	if len(got) != 1 || got[0] != want {
		t.Errorf("%q, want %q", got, want)
	}
}
