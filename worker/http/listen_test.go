package http

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"perilune/conf"
	"perilune/logging"
)

// load parses an http block and returns the cycle, or the error's text without
// its place, and what was logged.
func load(t *testing.T, http string) (cycle *conf.Cycle, complaint, logged string) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte("events {}\nhttp {"+http+"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	logFile, err := logging.OpenFile(dir + "/log")
	if err != nil {
		t.Fatal(err)
	}
	logFile.SetSync()
	defer logFile.Close()
	log := logging.New()
	log.Add(logFile, logging.Info, logging.Text)
	cycle, err = conf.Load(conf.Options{
		Prefix: dir, ConfFile: file, Log: log,
		Modules: append([]*conf.Module{conf.CoreModule, conf.EventsModule}, Modules()...),
	})
	if err != nil {
		complaint, _, _ = strings.Cut(err.Error(), " in "+dir)
	}
	b, err := os.ReadFile(dir + "/log")
	if err != nil {
		t.Fatal(err)
	}
	return cycle, complaint, string(b)
}

func TestBlockErrors(t *testing.T) {
	for _, test := range []struct{ http, want string }{
		{`server { listen x:0; }`, `invalid port in "x:0" of the "listen" directive`},
		{`server { listen 127.0.0.1:99999; }`, `invalid port in "127.0.0.1:99999" of the "listen" directive`},
		{`server { listen 0; }`, `invalid port in "0" of the "listen" directive`},
		{`server { listen 20-10; }`, `invalid port range in "20-10" of the "listen" directive`},
		{`server { listen :80; }`, `no host in ":80" of the "listen" directive`},
		{`server { listen a/b; }`, `invalid host in "a/b" of the "listen" directive`},
		{`server { listen [::1; }`, `invalid host in "[::1" of the "listen" directive`},
		{`server { listen [::g]:80; }`, `invalid IPv6 address in "[::g]:80" of the "listen" directive`},
		{`server { listen unix:; }`, `no path in the unix domain socket in "unix:" of the "listen" directive`},
		{`server { listen no-such-host.invalid:80; }`, `host not found in "no-such-host.invalid:80" of the "listen" directive`},
		{`server { listen 80 backlog=0; }`, `invalid backlog "backlog=0"`},
		{`server { listen 80 rcvbuf=x; }`, `invalid rcvbuf "rcvbuf=x"`},
		{`server { listen 80 ipv6only=of; }`, `invalid ipv6only flags "of"`},
		{`server { listen 80 so_keepalive=::; }`, `invalid so_keepalive value: "::"`},
		{`server { listen 80 quick; }`, `invalid parameter "quick"`},
		{`server { listen 80; listen 80; }`, `a duplicate listen 0.0.0.0:80`},
		{`server { listen 80 backlog=1; } server { listen 80 backlog=1; }`, `duplicate listen options for 0.0.0.0:80`},
		{`server { listen 80 default_server; } server { listen 80 default_server; }`, `a duplicate default server for 0.0.0.0:80`},
		{`server { server_name *; } `, `server name "*" is invalid`},
		{`server { server_name ~; } `, `empty regex in server name "~"`},
		{`server { listen 80; server_name a.*.b; } server { listen 80; }`, `invalid server name or wildcard "a.*.b" on 0.0.0.0:80`},
		{`server { location ! /x { } }`, `invalid location modifier "!"`},
		{`server { location /x { location /y { } } }`, `location "/y" is outside location "/x"`},
		{`server { location =/x { location /x/y { } } }`, `location "/x/y" cannot be inside the exact location "/x"`},
		{`server { location @x { location /x/y { } } }`, `location "/x/y" cannot be inside the named location "@x"`},
		{`server { location /x { location @x { } } }`, `named location "@x" can be on the server level only`},
		{`server { location /x { } location /x { } }`, `duplicate location "/x"`},
		{`server { large_client_header_buffers 4 100; }`, `the "large_client_header_buffers" size must be equal to or greater than "connection_pool_size"`},
		{`keepalive_timeout x;`, `"keepalive_timeout" directive invalid value`},
		{`keepalive_timeout 1s 1x;`, `"keepalive_timeout" directive invalid value`},
		{`keepalive_timeout 1s; keepalive_timeout 2s;`, `"keepalive_timeout" directive is duplicate`},
		{`client_body_temp_path x 4;`, `"client_body_temp_path" directive invalid value`},
		{`lingering_close maybe;`, `invalid value "maybe"`},
		{`} http {`, `"http" directive is duplicate`},
	} {
		if _, got, _ := load(t, test.http); got != test.want {
			t.Errorf("%s\ngot  %q\nwant %q", test.http, got, test.want)
		}
	}
}

func TestConflictingNames(t *testing.T) {
	_, complaint, logged := load(t, `server { listen 80; server_name x; } server { listen 80; server_name x y; }`)
	if complaint != "" || !strings.Contains(logged, `[warn] `) || !strings.Contains(logged, `conflicting server name "x" on 0.0.0.0:80, ignored`) {
		t.Errorf("%q, logged %q", complaint, logged)
	}
}

func TestListening(t *testing.T) {
	cycle, complaint, _ := load(t, `
		server { listen 8080; listen 127.0.0.1:8080; listen 127.0.0.2:8080 bind; listen [::]:8080 ipv6only=off; listen unix:/a; listen unix:/b; }
		server { listen 127.0.0.1:8080 default_server; listen 9000-9002 reuseport; }
		server { listen 8081 backlog=7 rcvbuf=8k sndbuf=4096 deferred fastopen=3 so_keepalive=30m::10; }`)
	if complaint != "" {
		t.Fatal(complaint)
	}
	var got []string
	for _, ls := range cycle.Listening {
		got = append(got, ls.Network+" "+ls.Addr)
	}
	want := "tcp 127.0.0.2:8080, tcp 0.0.0.0:8080, tcp [::]:8080, unix unix:/a, unix unix:/b, tcp 0.0.0.0:9000, tcp 0.0.0.0:9001, tcp 0.0.0.0:9002, tcp 0.0.0.0:8081"
	if s := strings.Join(got, ", "); s != want {
		t.Fatalf("got  %s\nwant %s", s, want)
	}
	wildcard := cycle.Listening[1].Data.(*listenPort)
	main := cycle.HTTP.Main[CoreModule.Index].(*MainConf)
	for ip, server := range map[string]int{"127.0.0.1": 1, "127.0.0.9": 0} {
		addrs, complaint := parseListen(nil, ip+":8080")
		if complaint != "" {
			t.Fatal(complaint)
		}
		if wildcard.find(addrs[0].ip.Addr()).def != main.Servers[server] {
			t.Errorf("%s does not lead to server %d", ip, server)
		}
	}
	last := cycle.Listening[len(cycle.Listening)-1]
	if last.Backlog != 7 || last.RcvBuf != 8192 || last.SndBuf != 4096 || !last.Deferred || last.FastOpen != 3 ||
		last.SoKeepalive != conf.KeepaliveOn || last.KeepIdle.Minutes() != 30 || last.KeepInterval != 0 || last.KeepCount != 10 {
		t.Errorf("%+v", last)
	}
}
