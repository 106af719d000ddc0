package e2e

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"perilune/internal/freeport"
)

const pidServer = `location / { return 200 $pid; }`

func TestCommandLine(t *testing.T) {
	s := newServer(t, config{servers: "return 200 x;"})
	name := s.path("conf/nginx.conf")
	expect := func(args []string, code int, want ...string) {
		t.Helper()
		stdout, stderr, got := s.run(args...)
		if got != code {
			t.Errorf("%v: exit code %d, want %d: %s%s", args, got, code, stdout, stderr)
		}
		for _, w := range want {
			if !strings.Contains(stdout+stderr, w) {
				t.Errorf("%v: %q is not in %q", args, w, stdout+stderr)
			}
		}
	}
	syntaxOK := "nginx: the configuration file " + s.dir + "/conf/nginx.conf syntax is ok\n"
	success := "nginx: configuration file " + s.dir + "/conf/nginx.conf test is successful\n"
	expect([]string{"-s", "stop"}, 1, `nginx: [error] open() "`+s.dir+`/logs/nginx.pid" failed (2: No such file or directory)`)
	expect([]string{"-t"}, 0, syntaxOK+success)
	if _, stderr, code := s.run("-t", "-q"); code != 0 || stderr != "" {
		t.Errorf("-t -q: %d %q", code, stderr)
	}
	stdout, stderr, code := s.run("-T")
	if code != 0 || stderr != syntaxOK+success || stdout != "# configuration file "+name+":\n"+s.readFile("conf/nginx.conf")+"\n" {
		t.Errorf("-T: %d %q %q", code, stdout, stderr)
	}
	version := "nginx version: nginx/"
	expect([]string{"-v"}, 0, version)
	expect([]string{"-V"}, 0, version, "\nbuilt with OpenSSL ", "\nconfigure arguments:")
	expect([]string{"-h"}, 0, version, "Usage: ", "  -t            : test configuration and exit\n", "  -s signal     : send signal to a master process: stop, quit, reopen, reload\n")
	expect([]string{"-x"}, 1, `nginx: invalid option: "x"`)
	expect([]string{"-s", "dance"}, 1, `nginx: invalid option: "-s dance"`)
	expect([]string{"-s"}, 1, `nginx: option "-s" requires parameter`)

	for _, tt := range []struct{ conf, want string }{
		{"http {\n  server {\n    foo bar;\n  }\n}\n", `nginx: [emerg] unknown directive "foo" in ` + name + ":3\n"},
		{"events {}\nhttp {\n  listen 80;\n}\n", `nginx: [emerg] "listen" directive is not allowed here in ` + name + ":3\n"},
		{"events {}\nhttp {\n  server {\n    root a b;\n  }\n}\n", `nginx: [emerg] invalid number of arguments in "root" directive in ` + name + ":4\n"},
		{"events {}\nhttp {\n  server {\n    root a;\n    root b;\n  }\n}\n", `nginx: [emerg] "root" directive is duplicate in ` + name + ":5\n"},
		{"events {}\nhttp {\n  server {\n", `nginx: [emerg] unexpected end of file, expecting "}" in ` + name + ":4\n"},
		{"events {}\nhttp {\n}\n}\n", `nginx: [emerg] unexpected "}" in ` + name + ":4\n"},
		{"events {}\nhttp {\n  keepalive_timeout x;\n}\n", `nginx: [emerg] "keepalive_timeout" directive invalid value in ` + name + ":3\n"},
		{"daemon off\nevents {}\n", `nginx: [emerg] directive "daemon" is not terminated by ";" in ` + name + ":2\n"},
		{"daemon yes;\nevents {}\n", `nginx: [emerg] invalid value "yes" in "daemon" directive, it must be "on" or "off" in ` + name + ":1\n"},
		{"events {}\ninclude none.conf;\n", `nginx: [emerg] open() "` + s.dir + `/conf/none.conf" failed (2: No such file or directory) in ` + name + ":2\n"},
		{"events {}\nhttp { server { location / { content_by_lua_block { if } } }\n", `unexpected end of file, expecting`},
		{"http {}\n", `nginx: [emerg] no "events" section in configuration`},
	} {
		s.writeConf(config{whole: tt.conf})
		expect([]string{"-t"}, 1, tt.want, "nginx: configuration file "+name+" test failed\n")
		expect(nil, 1, tt.want)
	}
	os.Remove(name)
	expect([]string{"-t"}, 1, `nginx: [emerg] open() "`+name+`" failed (2: No such file or directory)`)
}

func TestIncludes(t *testing.T) {
	s := start(t, config{
		http: "include sites/*.conf;\ninclude none/*.conf;",
		files: map[string]string{
			"conf/sites/a.conf": "server { listen 127.0.0.1:PORT; include ../conf/part; }",
			"conf/sites/b.conf": "server { listen 127.0.0.1:PORT; server_name b; return 200 b; }",
			"conf/part":         "return 200 part;",
		},
	})
	_ = s
	s.get("/").expect(t, 200, "part")
	s.dial().send("GET / HTTP/1.1\r\nHost: b\r\n\r\n").read("GET").expect(t, 200, "b")
	stdout, _, _ := s.run("-T")
	for _, f := range []string{"nginx.conf", "sites/a.conf", "sites/b.conf"} {
		if !strings.Contains(stdout, "# configuration file "+s.path("conf/"+f)+":\n") {
			t.Errorf("-T does not show %s: %s", f, stdout)
		}
	}
}

func TestStopSignals(t *testing.T) {
	for _, tt := range []struct {
		sig syscall.Signal
		arg string
	}{
		{syscall.SIGTERM, "stop"}, {syscall.SIGINT, ""}, {syscall.SIGQUIT, "quit"},
	} {
		for _, byArg := range []bool{false, true} {
			if byArg && tt.arg == "" {
				continue
			}
			s := start(t, config{main: "daemon off; worker_processes 2;", servers: pidServer})
			s.get("/")
			idle := s.dial()
			idle.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").read("GET")
			s.gone = true
			if byArg {
				if _, stderr, code := s.run("-s", tt.arg); code != 0 || stderr != "" {
					t.Errorf("-s %s: %d %q", tt.arg, code, stderr)
				}
			} else {
				s.signal(tt.sig)
			}
			if !waitExit(s.pid, patience) {
				t.Fatalf("%v %s: no exit", tt.sig, tt.arg)
			}
			if code := s.reap(); code != 0 {
				t.Errorf("%v: exit code %d", tt.sig, code)
			}
			idle.closed()
			s.expectNobodyLeft()
			if s.readPid() != 0 {
				t.Errorf("%v: the pid file is left over", tt.sig)
			}
			if c, err := net.Dial("tcp", s.addr); err == nil {
				c.Close()
				t.Errorf("%v: the port is still open", tt.sig)
			}
		}
	}
}

// TestGracefulStop: what is under way is finished, a fast stop cuts it off.
func TestGracefulStop(t *testing.T) {
	const slow = `location /slow { content_by_lua_block {
		ngx.say("begun") ngx.flush(true) ngx.sleep(0.5) ngx.say("done")
	} }`
	s := start(t, config{servers: slow})
	c := s.dial().send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
	c.r.Peek(1)
	s.signal(syscall.SIGQUIT)
	c.read("GET").expect(t, 200, "begun\ndone\n")
	c.closed()
	waitExit(s.pid, patience)
	s.gone = true
	s.reap()
	s.expectNobodyLeft()

	s = start(t, config{servers: strings.Replace(slow, "0.5", "30", 1)})
	c = s.dial().send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
	c.r.Peek(1)
	s.stop(syscall.SIGTERM)

	s = start(t, config{
		main:    "daemon off; worker_processes 1; worker_shutdown_timeout 300ms;",
		servers: strings.Replace(slow, "0.5", "30", 1),
	})
	c = s.dial().send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
	c.r.Peek(1)
	s.stop(syscall.SIGQUIT)
}

func TestReload(t *testing.T) {
	conf := config{
		main:    "daemon off; worker_processes 2;",
		http:    `init_by_lua_block { answer = "first" }`,
		servers: `location / { content_by_lua_block { ngx.print(answer) } } location /w { content_by_lua_block { ngx.print(ngx.worker.count()) } }`,
	}
	s := start(t, conf)
	s.get("/").expect(t, 200, "first")
	old := s.newWorkers(2, nil)

	// More workers, other Lua code, another listen socket.
	conf.main = "daemon off; worker_processes 4;"
	conf.http = `init_by_lua_block { answer = "second" }`
	conf.servers += "\nlisten 127.0.0.1:PORT2;"
	s.writeConf(conf)
	s.signal(syscall.SIGHUP)
	workers := s.newWorkers(4, old)
	s.get("/").expect(t, 200, "second")
	s.get("/w").expect(t, 200, "4")
	second := s.expand("127.0.0.1:PORT2")
	dialTo(t, "tcp", second).send("GET / HTTP/1.0\r\n\r\n").read("GET").expect(t, 200, "second")

	// The first socket goes, and the number of workers with it.
	conf.main = "daemon off; worker_processes 1;"
	conf.servers = strings.Replace(conf.servers, "listen 127.0.0.1:PORT2;", "", 1)
	s.writeConf(config{main: conf.main, http: conf.http + "server { listen 127.0.0.1:PORT2; " + conf.servers + "}"})
	if _, stderr, code := s.run("-s", "reload"); code != 0 || stderr != "" {
		t.Errorf("-s reload: %d %q", code, stderr)
	}
	workers = s.newWorkers(1, workers)
	dialTo(t, "tcp", second).send("GET / HTTP/1.0\r\n\r\n").read("GET").expect(t, 200, "second")
	s.waitFor("the end of a removed listen socket", func() bool {
		c, err := net.Dial("tcp", s.addr)
		if err == nil {
			c.Close()
		}
		return err != nil
	})

	// Broken files change nothing, and say why.
	for _, tt := range []struct{ conf, want string }{
		{"nonsense;", `[emerg] `},
		{"events {} http { server { listen 127.0.0.1:PORT2; nonsense; } }", `unknown directive "nonsense" in ` + s.path("conf/nginx.conf") + ":1"},
		{"events {} http { server { listen 192.0.2.1:PORT3; } }", `bind() to 192.0.2.1:` + s.expand("PORT3") + ` failed (99: Cannot assign requested address)`},
		{"events {} http { access_log none/access.log; server { listen 127.0.0.1:PORT2; } }", `open() "` + s.path("none/access.log") + `" failed (2: No such file or directory)`},
		{"events {} http { init_by_lua_block { error('in init') } server { listen 127.0.0.1:PORT2; } }", "in init"},
		{"events {} http { init_by_lua_block { this is not Lua } server { listen 127.0.0.1:PORT2; } }", "init_by_lua"},
	} {
		if againstReal && strings.Contains(tt.conf, "init_by_lua") {
			continue // says so on standard error only in some versions
		}
		s.writeConf(config{whole: "daemon off; error_log logs/error.log info; pid logs/nginx.pid;" + tt.conf})
		from := s.logSize()
		s.signal(syscall.SIGHUP)
		s.waitLog(from, tt.want)
		dialTo(t, "tcp", second).send("GET / HTTP/1.0\r\n\r\n").read("GET").expect(t, 200, "second")
		if got := s.workers(); !slices.Equal(got, workers) {
			t.Errorf("%s: workers %v, before it %v", tt.want, got, workers)
		}
	}
	s.writeConf(config{main: conf.main, http: `server { listen 127.0.0.1:PORT; return 200 "third"; }`})
	s.signal(syscall.SIGHUP)
	s.newWorkers(1, workers)
	s.get("/").expect(t, 200, "third")
}

// TestReloadFinishesRequests: a request that was under way at a reload is
// finished by the worker that has it, and its connection closed then.
func TestReloadFinishesRequests(t *testing.T) {
	s := start(t, config{servers: pidServer + `location /slow { content_by_lua_block {
		ngx.say(ngx.worker.pid()) ngx.flush(true) ngx.sleep(0.7) ngx.say("done")
	} }`})
	idle := s.dial()
	pid := idle.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").read("GET").body
	c := s.dial().send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
	c.r.Peek(1)
	s.signal(syscall.SIGHUP)
	idle.closed()
	if now := s.get("/").body; now == pid {
		t.Errorf("still worker %s", pid)
	}
	if r := c.read("GET").expect(t, 200, pid+"\ndone\n"); r.header.Get("Connection") != "keep-alive" && r.header.Get("Connection") != "close" {
		t.Errorf("%s", r.raw)
	}
	c.closed()
}

func TestKilledWorkerIsReplaced(t *testing.T) {
	s := start(t, config{main: "daemon off; worker_processes 2;", servers: pidServer})
	workers := s.newWorkers(2, nil)
	from := s.logSize()
	syscall.Kill(workers[0], syscall.SIGKILL)
	s.waitLog(from, fmt.Sprintf("worker process %d exited on signal 9", workers[0]))
	s.waitFor("the next worker", func() bool { w := s.workers(); return len(w) == 2 && !slices.Contains(w, workers[0]) })
	if !slices.Contains(s.workers(), workers[1]) {
		t.Error("the other worker was replaced too")
	}
	for range 20 {
		if r := s.get("/"); r.status != 200 {
			t.Errorf("%s", r.raw)
		}
	}
}

// TestMasterDeath: workers do not go on as orphans.
func TestMasterDeath(t *testing.T) {
	if againstReal {
		t.Skip("nginx's workers live on")
	}
	s := start(t, config{main: "daemon off; worker_processes 2;", servers: pidServer})
	s.newWorkers(2, nil)
	s.get("/")
	s.gone = true
	s.signal(syscall.SIGKILL)
	waitExit(s.pid, patience)
	s.reap()
	s.expectNobodyLeft()
}

func TestReopen(t *testing.T) {
	s := start(t, config{main: "daemon off; worker_processes 2;", servers: `location / { return 200 x; }
		location /log { content_by_lua_block { ngx.log(ngx.ERR, "to the error log") ngx.say("x") } }`})
	s.get("/before")
	access, errors := s.path("logs/access.log"), s.path("logs/error.log")
	for _, f := range []string{access, errors} {
		if err := os.Rename(f, f+".1"); err != nil {
			t.Fatal(err)
		}
	}
	s.get("/between")
	s.waitFor("a line in the renamed file", func() bool {
		return strings.Contains(s.readFile("logs/access.log.1"), "GET /between ")
	})
	if _, stderr, code := s.run("-s", "reopen"); code != 0 || stderr != "" {
		t.Errorf("-s reopen: %d %q", code, stderr)
	}
	s.waitFor("the new files", func() bool {
		s.get("/after")
		return strings.Contains(s.readFile("logs/access.log"), "GET /after ")
	})
	// Until every worker has come to it a request may still go to the old file.
	s.waitFor("both workers to write to the new file", func() bool {
		before := strings.Count(s.readFile("logs/access.log"), "\n")
		for range 20 {
			s.get("/many")
		}
		return strings.Count(s.readFile("logs/access.log"), "\n") == before+20
	})
	s.get("/log")
	s.waitLog(0, "to the error log")
	s.signal(syscall.SIGHUP)
	s.waitLog(0, "SIGHUP")
}

func TestAccessLog(t *testing.T) {
	s := start(t, config{
		http: `log_format own '$remote_addr|$request|$status|$body_bytes_sent|$http_x|$arg_a|$request_length';`,
		servers: `
			location / { return 200 "12345"; }
			location /own { access_log logs/own.log own; return 201 "x"; }
			location /both { access_log logs/own.log own; access_log logs/both.log; return 200 "y"; }
			location /off { access_log off; return 200 "z"; }
		`,
	})
	s.dial().send("GET /a?b HTTP/1.1\r\nHost: x\r\nReferer: http://r/\"q\"\r\nUser-Agent: test\\\x01\r\nConnection: close\r\n\r\n").all()
	s.get("/off")
	s.dial().send("GET /own?a=%20 HTTP/1.0\r\nX: y\r\n\r\n").all()
	s.get("/both")
	s.dial().send("bad\r\n\r\n").all()
	want := `] "GET /a?b HTTP/1.1" 200 5 "http://r/\x22q\x22" "test\x5C\x01"` + "\n"
	s.waitFor("the access log", func() bool { return strings.Contains(s.readFile("logs/access.log"), want) })
	s.waitFor("the log of a bad request", func() bool {
		return strings.Contains(s.readFile("logs/access.log"), `] "bad" 400 `)
	})
	log := s.readFile("logs/access.log")
	if !strings.HasPrefix(log, "127.0.0.1 - - [") || strings.Count(log, "\n") != 2 {
		t.Errorf("access.log: %q", log)
	}
	s.waitFor("both.log", func() bool {
		return strings.Contains(s.readFile("logs/both.log"), `"GET /both HTTP/1.1" 200 1 "-" "-"`)
	})
	wantOwn := "127.0.0.1|GET /own?a=%20 HTTP/1.0|201|1|y|%20|33\n127.0.0.1|GET /both HTTP/1.1|200|1|-|-|58\n"
	if got := s.readFile("logs/own.log"); got != wantOwn {
		t.Errorf("own.log: %q, want %q", got, wantOwn)
	}
}

func TestJSONErrorLog(t *testing.T) {
	if againstReal {
		t.Skip("nginx has no such format")
	}
	s := start(t, config{http: "error_log logs/json.log info format=json;", servers: `location / { content_by_lua_block { error("oops") } }`})
	s.get("/")
	s.waitFor("the line", func() bool {
		log := s.readFile("logs/json.log")
		return strings.HasPrefix(log, `{"level":"error","time":"`) && strings.Contains(log, `"client":"127.0.0.1"`) &&
			strings.Contains(log, `"request":"GET / HTTP/1.1"`) && strings.Contains(log, `:1: oops\nstack traceback:`)
	})
}

func TestDaemon(t *testing.T) {
	s := newServer(t, config{main: "daemon on; worker_processes 1;", servers: pidServer})
	if stdout, stderr, code := s.run(); code != 0 || stdout+stderr != "" {
		t.Fatalf("%d %s%s", code, stdout, stderr)
	}
	// It answers as soon as the first process is gone.
	c := s.dial()
	s.waitFor("the pid file", func() bool { return s.readPid() != 0 })
	s.pid = s.readPid()
	if sid, err := unix.Getsid(s.pid); err != nil || sid != s.pid {
		t.Errorf("session of %d is %d, %v", s.pid, sid, err)
	}
	if r := c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").read("GET"); r.status != 200 {
		t.Errorf("%s", r.raw)
	}
	for fd := range 3 {
		target, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", s.pid, fd))
		want := "/dev/null"
		if fd == 2 {
			want = s.path("logs/error.log")
		}
		if err != nil || target != want {
			t.Errorf("descriptor %d of the daemon is %s, %v", fd, target, err)
		}
	}
	if _, stderr, code := s.run("-s", "quit"); code != 0 || stderr != "" {
		t.Errorf("-s quit: %d %q", code, stderr)
	}
	if !waitExit(s.pid, patience) {
		t.Error("the daemon does not quit")
	}
	s.expectNobodyLeft()
}

func TestMasterProcessOff(t *testing.T) {
	s := start(t, config{main: "daemon off; master_process off;", servers: pidServer})
	if got := s.get("/").body; got != fmt.Sprint(s.pid) {
		t.Errorf("answered by %s, not by %d", got, s.pid)
	}
	if d := descendants(s.pid); len(d) != 0 {
		t.Errorf("processes %v", d)
	}
	if !againstReal { // whose single process loses track of its descriptors
		s.signal(syscall.SIGHUP)
		s.waitLog(0, "SIGHUP")
		s.get("/").expect(t, 200, fmt.Sprint(s.pid))
	}
	if code := s.stop(syscall.SIGQUIT); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestListenKinds(t *testing.T) {
	six, ok := freeport.Addr6(t)
	listen6 := ""
	if ok {
		listen6 = "listen " + six + ";"
	}
	s := start(t, config{http: `
		server { listen unix:PREFIX/logs/sock; return 200 "unix $remote_addr"; }
		server { ` + listen6 + ` listen 127.0.0.1:PORT; return 200 "ipv6 $remote_addr $server_port"; }
		server { listen 127.0.0.1:PORT2 reuseport backlog=100; listen 127.0.0.1:PORT3 deferred so_keepalive=on; return 200 "$server_addr:$server_port"; }
	`})
	dialTo(t, "unix", s.path("logs/sock")).send("GET / HTTP/1.0\r\n\r\n").read("GET").expect(t, 200, "unix unix:")
	if ok {
		_, port, _ := net.SplitHostPort(six)
		dialTo(t, "tcp", six).send("GET / HTTP/1.0\r\n\r\n").read("GET").expect(t, 200, "ipv6 ::1 "+port)
	}
	for _, addr := range []string{"127.0.0.1:PORT2", "127.0.0.1:PORT3"} {
		dialTo(t, "tcp", s.expand(addr)).send("GET / HTTP/1.0\r\n\r\n").read("GET").expect(t, 200, s.expand(addr))
	}
	s.stop(syscall.SIGQUIT)
	if _, err := os.Stat(filepath.Join(s.dir, "logs/sock")); !os.IsNotExist(err) {
		t.Errorf("the unix socket is left over: %v", err)
	}
}

// TestPortInUse: the second server says so and exits.
func TestPortInUse(t *testing.T) {
	s := start(t, config{servers: pidServer})
	other := newServer(t, config{http: "server { listen " + s.addr + "; }"})
	_, stderr, code := other.run()
	want := "nginx: [emerg] bind() to " + s.addr + " failed (98: Address already in use)\n"
	if code != 1 || !strings.Contains(stderr, want) || !strings.Contains(stderr, "nginx: [emerg] still could not bind()\n") {
		t.Errorf("%d %q", code, stderr)
	}
}
