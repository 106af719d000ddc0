package conf

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"perilune/logging"
)

// mapSource is a file system in memory, without masks.
type mapSource map[string]string

func (m mapSource) ReadFile(path string) ([]byte, error) {
	text, ok := m[path]
	if !ok {
		return nil, os.ErrNotExist
	}
	return []byte(text), nil
}

func (m mapSource) Glob(string) ([]string, error) { return nil, nil }

// loadText parses one text as /p/conf/nginx.conf.
func loadText(t testing.TB, text string) (*Cycle, error) {
	t.Helper()
	return Load(Options{
		Prefix: "/p", Source: mapSource{"/p/conf/nginx.conf": text}, Modules: testModules(), Worker: true,
	})
}

func mustLoad(t testing.TB, text string) *Cycle {
	t.Helper()
	cycle, err := loadText(t, text)
	if err != nil {
		t.Fatal(err)
	}
	return cycle
}

func TestWords(t *testing.T) {
	tests := []struct {
		in   string
		want []string
	}{
		{`a b;`, []string{"a", "b"}},
		{`a "b c" 'd e';`, []string{"a", "b c", "d e"}},
		{`a ""  '';`, []string{"a", "", ""}},
		{`a b\ c\;d;`, []string{"a", `b\ c\;d`}},
		{`a "x\"y" 'x\'y' x\"y;`, []string{"a", `x"y`, `x'y`, `x"y`}},
		{`a "\t\r\n\\";`, []string{"a", "\t\r\n\\"}},
		{`a "\d\.\$";`, []string{"a", `\d\.\$`}},
		{`a ~ ^/\d+\.(?<x>php)$;`, []string{"a", "~", `^/\d+\.(?<x>php)$`}},
		{`a ${b}c;`, []string{"a", "${b}c"}},
		{`a $b{`, []string{"a", "$b"}},
		{`a b#c #d;` + "\n;", []string{"a", "b#c"}},
		{`a b"c d"e;`, []string{"a", `b"c`, `d"e`}},
		{`a "b")c;`, []string{"a", "b", ")c"}},
		{`a b}c;`, []string{"a", "b}c"}},
		{"a\r\n\tb\r\n;", []string{"a", "b"}},
	}
	for _, test := range tests {
		l := &lexer{src: []byte(test.in), file: "f", line: 1}
		words, _, err := l.next()
		if err != nil || !slices.Equal(words, test.want) {
			t.Errorf("%q: %q, %v; want %q", test.in, words, err, test.want)
		}
	}
}

func TestInheritance(t *testing.T) {
	cycle := mustLoad(t, `events {}
http {
    sendfile on; default_type http; keepalive_requests 5;
    server {
        default_type server;
        location /a {
            default_type a;
            location /a/b { sendfile off; }
        }
        location /c { }
    }
    server { }
}`)
	loc := func(c *Ctx) *testLoc { return c.Loc[0].(*testLoc) }
	servers := cycle.HTTP.Children
	if len(servers) != 2 {
		t.Fatalf("%d servers", len(servers))
	}
	a := servers[0].Children[0]
	tests := []struct {
		ctx      *Ctx
		typ      string
		sendfile bool
	}{
		{servers[0], "server", true},
		{a, "a", true},
		{a.Children[0], "a", false},
		{servers[0].Children[1], "server", true},
		{servers[1], "http", true},
	}
	for i, test := range tests {
		l := loc(test.ctx)
		if l.Type.V != test.typ || l.Sendfile.V != test.sendfile || l.Requests.V != 5 || l.MaxBody.V != 1<<20 {
			t.Errorf("%d: %+v", i, l)
		}
	}
	if &a.Srv[0] != &servers[0].Srv[0] || &a.Main[0] != &cycle.HTTP.Main[0] {
		t.Error("a location does not share the structs of its server")
	}
}

func TestSettingMerge(t *testing.T) {
	unset, one, two := Setting[int]{}, Setting[int]{1, true}, Setting[int]{2, true}
	tests := []struct{ own, prev, want Setting[int] }{
		{one, two, one}, {unset, two, two}, {one, unset, one}, {unset, unset, Setting[int]{9, true}},
	}
	for _, test := range tests {
		got := test.own
		got.Merge(test.prev, 9)
		if got != test.want {
			t.Errorf("%v merged with %v: %v", test.own, test.prev, got)
		}
	}
}

// TestModuleHooks checks the order in which the hooks of HTTP modules run, and
// which block they see.
func TestModuleHooks(t *testing.T) {
	var calls []string
	hook := func(name string) *Module {
		at := func(what string) func(*Conf) error {
			return func(*Conf) error { calls = append(calls, name+" "+what); return nil }
		}
		return &Module{
			Name: name, Kind: HTTPKind,
			Preconfiguration: at("pre"), Postconfiguration: at("post"),
			InitMain: func(cf *Conf, _ any) error { return at("init")(cf) },
			MergeSrv: func(cf *Conf, _, _ any) error { return at("srv")(cf) },
			MergeLoc: func(cf *Conf, _, _ any) error {
				return at("loc " + cf.Ctx.Loc[0].(*testLoc).name)(cf)
			},
		}
	}
	modules := append(testModules(), hook("x"), hook("y"))
	_, err := Load(Options{Prefix: "/p", Modules: modules, Worker: true, Source: mapSource{
		"/p/conf/nginx.conf": "events {} http { server { location /a { } } }"}})
	if err != nil {
		t.Fatal(err)
	}
	want := "x pre,y pre,x init,x srv,x loc ,x loc /a,y init,y srv,y loc ,y loc /a,x post,y post"
	if got := strings.Join(calls, ","); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestHandlerErrors(t *testing.T) {
	tests := []struct {
		err  error
		want string
	}{
		{Errorf("odd %s", "thing"), "odd thing in /p/conf/nginx.conf:2"},
		{DirectiveError("is odd"), `"odd" directive is odd in /p/conf/nginx.conf:2`},
		{errors.New("plain"), "plain in /p/conf/nginx.conf:2"},
		{PlainErrorf("nowhere"), "nowhere"},
	}
	for _, test := range tests {
		m := &Module{Name: "odd", Kind: CoreKind, Commands: []Command{{
			Name: "odd", Ctx: Main, Args: NoArgs, Set: func(*Conf, any) error { return test.err },
		}}}
		_, err := Load(Options{Prefix: "/p", Modules: append(testModules(), m),
			Source: mapSource{"/p/conf/nginx.conf": "\nodd;"}})
		if err == nil || err.Error() != test.want {
			t.Errorf("got %v, want %s", err, test.want)
		}
		if LevelOf(err) != logging.Emerg {
			t.Errorf("%v at level %v", err, LevelOf(err))
		}
	}
}

func TestSnapshot(t *testing.T) {
	dir, _, _ := writeCase(t, []section{
		{"nginx.conf", "include a.conf;\ninclude conf.d/*.conf;\ninclude a.conf;\nevents {}\n"},
		{"a.conf", "env A;\n"}, {"conf.d/y.conf", "env Y;"}, {"conf.d/x.conf", "env X;\n\n"},
	})
	cycle, err := Load(Options{Prefix: dir, ConfFile: "nginx.conf", Modules: testModules()})
	if err != nil {
		t.Fatal(err)
	}
	var dump bytes.Buffer
	if err := cycle.Snapshot.Dump(&dump); err != nil {
		t.Fatal(err)
	}
	want := strings.ReplaceAll("# configuration file DIR/nginx.conf:\ninclude a.conf;\ninclude conf.d/*.conf;\ninclude a.conf;\nevents {}\n\n"+
		"# configuration file DIR/a.conf:\nenv A;\n\n"+
		"# configuration file DIR/conf.d/x.conf:\nenv X;\n\n\n"+
		"# configuration file DIR/conf.d/y.conf:\nenv Y;\n", "DIR", dir)
	if dump.String() != want {
		t.Errorf("dump:\n%s\nwant:\n%s", dump.String(), want)
	}

	// A worker gets the snapshot and must see the same, whatever became of the files.
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	decoders := map[string]func() (*Snapshot, error){
		"json": func() (*Snapshot, error) {
			b, err := json.Marshal(cycle.Snapshot)
			s := &Snapshot{}
			return s, errors.Join(err, json.Unmarshal(b, s))
		},
		"gob": func() (*Snapshot, error) {
			var b bytes.Buffer
			err := gob.NewEncoder(&b).Encode(cycle.Snapshot)
			s := &Snapshot{}
			return s, errors.Join(err, gob.NewDecoder(&b).Decode(s))
		},
	}
	for name, decode := range decoders {
		snapshot, err := decode()
		if err != nil {
			t.Fatal(name, err)
		}
		again, err := Load(Options{Prefix: dir, ConfFile: "nginx.conf", Source: snapshot, Modules: testModules(), Worker: true})
		if err != nil {
			t.Fatal(name, err)
		}
		if !reflect.DeepEqual(again.CoreConf().Env, cycle.CoreConf().Env) || len(again.CoreConf().Env) != 4 {
			t.Errorf("%s: %v", name, again.CoreConf().Env)
		}
		if !reflect.DeepEqual(again.Snapshot, snapshot) {
			t.Errorf("%s: the snapshot of a snapshot differs", name)
		}
		if _, err := snapshot.ReadFile("/nowhere"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParsedHook(t *testing.T) {
	called := false
	_, err := Load(Options{Prefix: "/p", Modules: testModules(), Source: mapSource{"/p/conf/nginx.conf": ""},
		Parsed: func(c *Cycle) { called = c.ConfFile == "/p/conf/nginx.conf" }})
	if err == nil || !called {
		t.Errorf("called %v, error %v: the syntax is right though there is no events block", called, err)
	}
}

func TestNames(t *testing.T) {
	tests := []struct{ prefix, file, wantPrefix, wantFile, wantConf string }{
		{"/p", "", "/p/", "/p/conf/nginx.conf", "/p/conf/"},
		{"/p/", "x.conf", "/p/", "/p/x.conf", "/p/"},
		{"/p/", "/etc/x/y.conf", "/p/", "/etc/x/y.conf", "/etc/x/"},
		{"", "a/b.conf", "/", "/a/b.conf", "/a/"},
	}
	for _, test := range tests {
		c := newCycle(&Options{Prefix: test.prefix, ConfFile: test.file})
		if c.Prefix != test.wantPrefix || c.ConfFile != test.wantFile || c.ConfPrefix != test.wantConf {
			t.Errorf("%q %q: %q %q %q", test.prefix, test.file, c.Prefix, c.ConfFile, c.ConfPrefix)
		}
		if c.ConfFullName("z") != test.wantConf+"z" || c.FullName("z") != test.wantPrefix+"z" || c.FullName("/z") != "/z" {
			t.Errorf("%q: full names", test.prefix)
		}
	}
}

func TestGlob(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.conf", "b.conf", ".c.conf", "d/e.conf", "d/[x].conf", "f/e.conf", "-g"} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, nil, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct{ pattern, want string }{
		{"*.conf", "a.conf b.conf"},
		{".*.conf", ".c.conf"},
		{"?.conf", "a.conf b.conf"},
		{"[ab].conf", "a.conf b.conf"},
		{"[!a].conf", "b.conf"},
		{"[^a].conf", "b.conf"},
		{"[a-z]/e.*", "d/e.conf f/e.conf"},
		{"*/e.conf", "d/e.conf f/e.conf"},
		{"d/\\[x\\].*", "d/[x].conf"},
		{"d/[[]x[]].conf", "d/[x].conf"},
		{"[-g][g-]", "-g"},
		{"[a", ""},
		{"*[", ""},
		{"none/*", ""},
		{"a.conf/*", ""},
		{"d//*.conf", "d//[x].conf d//e.conf"},
		{"*/", "d/ f/"},
		{"**.conf", "a.conf b.conf"},
		{"*.*o*f", "a.conf b.conf"},
	}
	for _, test := range tests {
		names, err := FileSystem{}.Glob(dir + "/" + test.pattern)
		if err != nil {
			t.Fatal(err)
		}
		for i := range names {
			names[i] = strings.TrimPrefix(names[i], dir+"/")
		}
		if got := strings.Join(names, " "); got != test.want {
			t.Errorf("%s: %q, want %q", test.pattern, got, test.want)
		}
	}
}
