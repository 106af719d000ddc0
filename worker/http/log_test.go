package http

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"perilune/conf"
	"perilune/worker/loop"
)

// sampleRequest is a request that variables can be asked of, without a connection behind it.
func sampleRequest(t testing.TB) *Request {
	t.Helper()
	l, err := loop.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.Stop()
		_ = l.Run() // which closes its descriptors
	})
	ctx := &conf.Ctx{}
	srv := &SrvConf{Ctx: ctx, Name: "server"}
	r := &Request{
		Method: []byte("GET"), MethodID: MethodGet, RequestLine: []byte("GET /a?b=1&c HTTP/1.1"), Protocol: []byte("HTTP/1.1"),
		URI: []byte("/a"), UnparsedURI: []byte("/a?b=1&c"), Args: []byte("b=1&c"), HTTPVersion: 1001,
		Conn: &Conn{Remote: "192.0.2.1", RemotePort: 1234, Number: 7}, Srv: srv, Loc: &LocConf{},
		Server:  &Server{loop: l},
		BytesIn: 90, BytesOut: 350, HeaderLen: 200,
	}
	r.Main = r
	r.HeadersOut.Status = 200
	r.HeadersOut.ContentType, r.HeadersOut.Charset = "text/html", "utf-8"
	r.HeadersOut.ContentLengthN, r.HeadersOut.LastModified = 150, -1
	r.HeadersOut.Add("X-Out", "1")
	r.HeadersOut.Add("x-out", "2")
	for name, value := range map[string]string{"Host": "h", "X-A": "q\"\\\x01\xff"} {
		r.HeadersIn.Add(HeaderIDOf([]byte(name)), []byte(name), []byte(value))
	}
	r.HeadersIn.Add(HeaderCookie, []byte("Cookie"), []byte("a=1; BB = 2 ;c"))
	r.HeadersIn.Add(HeaderCookie, []byte("Cookie"), []byte("d=4"))
	r.HeadersIn.ContentLengthN = -1
	return r
}

// tableOf makes a table of variables that is complete, and a configuration to compile with.
func tableOf(r *Request) (*Variables, *conf.Conf) {
	v := newVariables()
	main := make([]any, variablesModule.Index+1)
	main[variablesModule.Index] = v
	r.Srv.Ctx.Main = main
	return v, &conf.Conf{Ctx: r.Srv.Ctx}
}

func TestVariables(t *testing.T) {
	r := sampleRequest(t)
	tableOf(r)
	for name, want := range map[string]string{
		"arg_b": "1", "arg_B": "1", "ARG_B": "1", "arg_c": "none", "arg_": "none", "args": "b=1&c", "is_args": "?",
		"cookie_a": "1", "cookie_bb": "2 ", "cookie_c": "none", "cookie_d": "4",
		"http_host": "h", "http_x_a": "q\"\\\x01\xff", "http_nope": "none", "http_cookie": "a=1; BB = 2 ;c; d=4",
		"sent_http_x_out": "1, 2", "sent_http_content_type": "text/html; charset=utf-8", "sent_http_content_length": "150",
		"sent_http_last_modified": "none", "sent_http_location": "none", "sent_http_connection": "close",
		"status": "200", "body_bytes_sent": "150", "bytes_sent": "350", "request_length": "90", "connection": "7",
		"remote_addr": "192.0.2.1", "remote_port": "1234", "uri": "/a", "request_uri": "/a?b=1&c", "host": "server",
		"server_name": "server", "scheme": "http", "https": "", "pipe": ".", "request_method": "GET",
		"server_protocol": "HTTP/1.1", "nginx_version": conf.NginxVersion, "nope": "none", "content_length": "none",
	} {
		got, found := r.Variable(name)
		if !found {
			got = []byte("none")
		}
		if string(got) != want {
			t.Errorf("$%s: %q, want %q", name, got, want)
		}
	}
	id, _ := r.Variable("request_id")
	first := string(id)
	if id, _ = r.Variable("request_id"); string(id) != first || len(first) != 32 {
		t.Errorf("request_id: %q, then %q", first, id)
	}
	r.HeadersOut.Status = 9
	if got, _ := r.Variable("status"); string(got) != "009" {
		t.Errorf("status: %q", got)
	}
	if _, err := r.parts.captures.Exec(regexOf(t, "(a)(b)?", false), []byte("xab")); err != nil {
		t.Fatal(err)
	}
	for n, want := range []string{"ab", "a", "b", ""} {
		if got, _ := r.Capture(n); string(got) != want {
			t.Errorf("$%d: %q, want %q", n, got, want)
		}
	}
	if _, found := r.Variable("1"); found {
		t.Error("a group is a variable of that name")
	}
	if known, changed := r.SetVariable("ARGS", []byte("z=2")); !known || !changed || string(r.Args) != "z=2" {
		t.Errorf("args: %v %v %q", known, changed, r.Args)
	}
	if known, changed := r.SetVariable("uri", nil); !known || changed {
		t.Errorf("uri: %v %v", known, changed)
	}
}

func TestScript(t *testing.T) {
	r := sampleRequest(t)
	v, cf := tableOf(r)
	if _, err := r.parts.captures.Exec(regexOf(t, "(.)(.)", false), []byte("xy")); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"":                           "",
		"plain":                      "plain",
		"$uri":                       "/a",
		"${uri}x":                    "/ax",
		"a$arg_b-$2$1.$3|$arg_none|": "a1-yx.||",
		"$args$is_args":              "b=1&c?",
	} {
		s, err := CompileScript(cf, text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if err := v.resolve(); err != nil {
			t.Fatal(err)
		}
		if got := string(s.AppendTo(r, []byte(">"))); got != ">"+want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
		constant, is := s.Constant()
		if is != !HasVariables(text) || (is && constant != text) {
			t.Errorf("%q: constant %q, %v", text, constant, is)
		}
	}
}

func TestLogFormat(t *testing.T) {
	r := sampleRequest(t)
	v, cf := tableOf(r)
	for _, c := range []struct{ escape, want string }{
		{"default", `1|-|q\x22\x5C\x01\xFF|` + "\n"},
		{"json", `1||q\"\\\u0001` + "\xff|\n"},
		{"none", "1||q\"\\\x01\xff|\n"},
	} {
		f, err := compileFormat(cf, "f", []string{"escape=" + c.escape, "$arg_b|$arg_c|", "${http_x_a}|"})
		if err != nil {
			t.Fatal(err)
		}
		if err := v.resolve(); err != nil {
			t.Fatal(err)
		}
		if got := string(f.appendLine(r, nil)); got != c.want {
			t.Errorf("%s: %q, want %q", c.escape, got, c.want)
		}
	}
	if got := string(escapeJSON.tail([]byte("\"\n\r\t\b\f\x1f"), 0)); got != `\"\n\r\t\b\f\u001F` {
		t.Errorf("JSON escapes: %s", got)
	}
}

func TestLogLineAllocatesNothing(t *testing.T) {
	r := sampleRequest(t)
	v, cf := tableOf(r)
	f, err := compileFormat(cf, "f", []string{combinedFormat, " $http_x_a $request_time $host $arg_b $cookie_d $sent_http_x_out"})
	if err != nil {
		t.Fatal(err)
	}
	if err := v.resolve(); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() { buf = f.appendLine(r, buf[:0]) }); n != 0 {
		t.Errorf("%v allocations for %q", n, buf)
	}
	if n := testing.AllocsPerRun(100, func() { r.Variable("uri"); r.Variable("http_host"); r.Variable("arg_b") }); n != 0 {
		t.Errorf("%v allocations for three variables", n)
	}
}

// TestLiveVariables asks a running server for the variables whose values are never the same.
func TestLiveVariables(t *testing.T) {
	addr := startServer(t, t.TempDir(), `server { LISTEN; return 200
		"$time_local|$time_iso8601|$msec|$request_time|$connection_time|$request_id|$pid|$connection|$connection_requests|$remote_port|$server_port|$hostname|$binary_remote_addr|$tcpinfo_rtt|$tcpinfo_snd_cwnd"; }`)[0]
	_, body := answerOf(t, ask(t, addr, "GET / HTTP/1.0\r\n\r\n"))
	_, port, _ := strings.Cut(addr, ":")
	host, _ := os.Hostname()
	want := regexp.MustCompile(`^\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d\|\d{10}\.\d{3}\|` +
		`\d+\.\d{3}\|\d+\.\d{3}\|[0-9a-f]{32}\|` + strconv.Itoa(os.Getpid()) + `\|\d+\|1\|\d+\|` + port + `\|` + regexp.QuoteMeta(host) +
		"\\|\x7f\x00\x00\x01" + `\|\d+\|\d+$`)
	if !want.MatchString(body) {
		t.Errorf("%q does not match %s", body, want)
	}
}
