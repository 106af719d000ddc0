package http

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"perilune/conf"
	"perilune/ipc/shm"
)

const limitServer = `
limit_req_zone $arg_k zone=one:64k rate=1r/m;
limit_req_zone $arg_l zone=two:64k rate=2r/m;
limit_req_zone $arg_q zone=quick:64k rate=20r/s;
limit_conn_zone $arg_k zone=conns:64k;
limit_conn_zone $arg_l zone=conns2:64k;
server { LISTEN; server_name example.com; default_type text/plain;
	add_header X-Req $limit_req_status always; add_header X-Conn $limit_conn_status always;
	location /req { limit_req zone=one; try_files /nix =200; }
	location /burst { limit_req zone=one burst=2 nodelay; try_files /nix =200; }
	location /dry { limit_req zone=one; limit_req_dry_run on; limit_req_log_level info; try_files /nix =200; }
	location /status { limit_req zone=one; limit_req_status 429; limit_req_log_level warn; error_page 429 = /page; try_files /nix =200; }
	location /page { limit_req zone=two; try_files /nix =200; }
	location /two { limit_req zone=one burst=5 nodelay; limit_req zone=two burst=1 nodelay; try_files /nix =200; }
	location /twice { limit_req zone=two burst=1 nodelay; limit_req zone=one burst=5 nodelay; try_files /nix =200; }
	location /quick { limit_req zone=quick burst=2; try_files /nix =200; }
	location /delay { limit_req zone=quick burst=9 delay=1; try_files /nix =200; }
	location /delaydry { limit_req zone=quick burst=9; limit_req_dry_run on; limit_req_log_level notice; try_files /nix =200; }
	location /conn { limit_conn conns 1; limit_conn conns2 1; try_files /nix =200; }
	location /redirect { limit_conn conns 1; limit_req zone=two burst=1 nodelay; rewrite ^ /conn last; }
	location /none { try_files /nix =200; }
}
`

// TestLimitsAsNginx compares what limit_req and limit_conn decide, say and log with nginx's. The excess of requests that come
// one after the other depends on the time they take; the rates are such that it shows in the last digits at most.
func TestLimitsAsNginx(t *testing.T) {
	requests := []string{
		"GET /req?k=a", "GET /req?k=a", "GET /req?k=b", "GET /req", "GET /req?k=" + strings.Repeat("k", 300),
		"GET /burst?k=c", "GET /burst?k=c", "GET /burst?k=c", "GET /burst?k=c",
		"GET /dry?k=d", "GET /dry?k=d", "GET /status?k=e", "GET /status?k=e", "GET /status?k=e",
		"GET /two?k=f&l=f", "GET /two?k=f&l=f", "GET /two?k=f&l=f", "GET /two?k=f", "GET /two?l=f", "GET /two",
		"GET /twice?k=g&l=g", "GET /twice?k=g&l=g", "GET /twice?k=g&l=g", "GET /twice?k=g", "GET /twice?l=g",
		"GET /quick?q=h", "GET /delay?q=i", "GET /conn?k=a", "GET /conn?k=a", "GET /conn?k=" + strings.Repeat("k", 300),
		"GET /redirect?k=a", "GET /none?k=a",
	}
	sameAnswers(t, limitServer, requests)
}

func TestLimitConfiguration(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`limit_req_zone $arg_k zone=one rate=1r/s;`, `invalid zone size "zone=one"`},
		{`limit_req_zone $arg_k zone=one:1k rate=1r/s;`, `zone "zone=one:1k" is too small`},
		{`limit_req_zone $arg_k zone=one:1m rate=0r/s;`, `invalid rate "rate=0r/s"`},
		{`limit_req_zone $arg_k zone=one:1m rate=1r/h;`, `invalid rate "rate=1r/h"`},
		{`limit_req_zone $arg_k rate=1r/s rate=1r/s;`, `"limit_req_zone" must have "zone" parameter`},
		{`limit_req_zone $arg_k zone=one:1m foo=1;`, `invalid parameter "foo=1"`},
		{`limit_conn_zone $arg_k rate=1r/s;`, `invalid parameter "rate=1r/s"`},
		{`limit_req_zone $arg_k zone=one:1m rate=1r/s; limit_req_zone $arg_l zone=one:1m rate=1r/s;`, `limit_req_zone "one" is already bound to key "$arg_k"`},
		{`limit_req_zone $arg_k zone=one:1m rate=1r/s; limit_conn_zone $arg_k zone=one:1m;`, `the shared memory zone "one" is already declared for a different use`},
		{`limit_req zone=none;`, `zero size shared memory zone "none"`},
		{`limit_req burst=1;`, `"limit_req" must have "zone" parameter`},
		{`limit_req zone=a burst=0;`, `invalid burst value "burst=0"`},
		{`limit_req zone=a delay=x;`, `invalid delay value "delay=x"`},
		{`limit_req zone=a foo;`, `invalid parameter "foo"`},
		{`limit_req_zone $arg_k zone=a:1m rate=1r/s; limit_req zone=a; limit_req zone=a burst=1;`, `"limit_req" directive is duplicate`},
		{`limit_req_status 200;`, `value must be between 400 and 599`},
		{`limit_req_log_level debug;`, `invalid value "debug"`},
		{`limit_conn a 0;`, `invalid number of connections "0"`},
		{`limit_conn a 65536;`, `connection limit must be less 65536`},
		{`limit_conn_zone $arg_k zone=a:1m; limit_conn a 1; limit_conn a 2;`, `"limit_conn" directive is duplicate`},
	} {
		wantConfError(t, c.text, c.want)
	}
}

// TestLimitDelay has requests wait, all of them at the same time, and one whose client does not.
func TestLimitDelay(t *testing.T) {
	ts := serve(t, `limit_req_zone $arg_k zone=one:64k rate=10r/s; limit_req_zone $arg_k zone=slow:64k rate=1r/m;
	log_format st "$status $limit_req_status"; access_log DIR/access st;
	server { listen 127.0.0.1:8000; location / { limit_req zone=one burst=3; limit_req_log_level notice; try_files /nix =204; }
		location /slow { limit_req zone=slow burst=3; try_files /nix =204; } }`)
	begin := time.Now()
	ask := func(c *client, uri string) { c.send("GET " + uri + " HTTP/1.1\r\nHost: x\r\n\r\n") }
	var clients []*client
	for range 5 {
		c := ts.dial()
		ask(c, "/?k=a")
		clients = append(clients, c)
	}
	served, refused := 0, 0
	for _, c := range clients {
		switch got := c.read(); {
		case strings.HasPrefix(got, "HTTP/1.1 204 "):
			served++
		case strings.HasPrefix(got, "HTTP/1.1 503 "):
			refused++
		}
		_ = c.Close()
	}
	if took := time.Since(begin); served < 4 || served+refused != 5 || took < 290*time.Millisecond {
		t.Errorf("%d served and %d refused in %v", served, refused, took)
	}
	ts.errorLog(`[info] `)
	ts.errorLog(`delaying request, excess: `)
	c := ts.dial()
	ask(c, "/slow?k=b")
	c.read()
	ask(c, "/slow?k=b")
	ts.waitFor(func(s Stats) bool { return s.Writing == 1 })
	_ = c.Close()
	ts.none()
	ts.errorLog("client prematurely closed connection, client: 127.0.0.1")
}

// TestLimitsAllocateNothing is for requests that the limits let in.
func TestLimitsAllocateNothing(t *testing.T) {
	ts := serve(t, `limit_req_zone $binary_remote_addr zone=req:64k rate=1000000r/s; limit_conn_zone $binary_remote_addr zone=conn:64k;
	server { listen 127.0.0.1:8000; keepalive_requests 1000000;
		location / { limit_req zone=req burst=1000000 nodelay; limit_conn conn 100; test_handler body; } }`, testModule)
	c := ts.rawDial()
	if n := testing.AllocsPerRun(500, func() {
		if c.trip(hotRequest) <= 0 {
			t.Fatal("the connection is closed")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestConnOwners has processes come and go in an entry of limit_conn.
func TestConnOwners(t *testing.T) {
	e := connEntry(make([]byte, connEntrySize))
	const processes = connOwners + 4
	for round := range 3 {
		for p := range uint64(processes) {
			if !e.change(p+1, 1) {
				t.Fatal(round, p)
			}
		}
	}
	if n := e.sum(); n != 3*processes {
		t.Fatal(n)
	}
	for range 3 {
		for p := range uint64(processes) {
			if !e.change(p+1, -1) {
				t.Fatal(p)
			}
		}
	}
	if n := e.sum(); n != 0 || e.change(1, -1) {
		t.Fatal(n)
	}
}

// TestConnOwnerDies has limit_conn find out that whom it counts is no more.
func TestConnOwnerDies(t *testing.T) {
	ts := serve(t, `limit_conn_zone $arg_k zone=one:64k;
	server { listen 127.0.0.1:8000; location / { limit_conn one 1; return 200 ok; } location /try { limit_conn one 1; try_files /nix =204; } }`)
	z := ts.s.cycle.Zones[0].Memory
	key := []byte("a")
	ts.do(func() {
		_, err := z.Dict().Modify(key, connEntrySize, true, func(v []byte, _ bool) int64 {
			connEntry(v).change(shm.Owner{PID: 1 << 21, Start: 1}.Word(), 1)
			return 0
		})
		if err != nil {
			t.Error(err)
		}
	})
	c := ts.dial()
	c.send("GET /try?k=a HTTP/1.1\r\nHost: x\r\n\r\n")
	if got := c.read(); !strings.HasPrefix(got, "HTTP/1.1 204 ") {
		t.Errorf("got %q", got)
	}
	ts.do(func() {
		if v, _, err := z.Dict().Get(key, nil); v.Type != shm.None || err != nil {
			t.Errorf("%v, %v is left", v, err)
		}
	})
}

// wantConfError has an http block refused with a message.
func wantConfError(t *testing.T, text, want string) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte("events {}\nhttp {\n"+text+"\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := conf.Load(conf.Options{Prefix: dir, ConfFile: file, TestOnly: true, Modules: append(conf.Modules(), Modules()...)})
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: %v, want %q", text, err, want)
	}
}
