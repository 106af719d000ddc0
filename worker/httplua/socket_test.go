package httplua_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"perilune/worker/testpeer"
)

// listenPeer serves each connection with f, which is closed afterwards, and returns the port.
func listenPeer(t testing.TB, f func(c *net.TCPConn)) string {
	t.Helper()
	return listenFor(t, func(c net.Conn) { f(c.(*net.TCPConn)) })
}

// listenFor is listenPeer for who needs no TCP of it.
func listenFor(t testing.TB, f func(c net.Conn)) string {
	t.Helper()
	return portOf(testpeer.ServeTCP(t, f))
}

func portOf(a netip.AddrPort) string { return strconv.Itoa(int(a.Port())) }

func port(a net.Addr) string { return strconv.Itoa(a.(*net.TCPAddr).Port) }

// fullPeer listens, and its queue of connections is full.
func fullPeer(t testing.TB) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	p := strconv.Itoa(sa.(*unix.SockaddrInet4).Port)
	for range 3 {
		c, err := net.DialTimeout("tcp", "127.0.0.1:"+p, 50*time.Millisecond)
		if err != nil {
			break
		}
		t.Cleanup(func() { c.Close() })
	}
	return p
}

// silent reads until the peer closes.
func silent(c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) }

// TestSocketPeers talks to peers that behave badly, in all ways that a peer can.
func TestSocketPeers(t *testing.T) {
	shut := make(chan struct{}, 1)
	peers := map[string]string{
		"SHUT": listenPeer(t, func(c *net.TCPConn) {
			_, _ = c.Write([]byte("half"))
			_ = c.CloseWrite()
			shut <- struct{}{}
			silent(c)
		}),
		"AFTER":  listenPeer(t, func(c *net.TCPConn) { <-shut }),
		"SILENT": listenPeer(t, silent),
		"FULL":   fullPeer(t),
		"BYTES": listenPeer(t, func(c *net.TCPConn) {
			for _, b := range []byte("line one\r\nline two\r\n--end--rest") {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
			}
		}),
		"RESET": listenPeer(t, func(c *net.TCPConn) {
			_, _ = c.Write([]byte("ab"))
			_, _ = c.Read(make([]byte, 1))
			_ = c.SetLinger(0)
		}),
		"HALF": listenPeer(t, func(c *net.TCPConn) {
			_, _ = c.Write([]byte("half"))
			_ = c.CloseWrite()
			n, _ := io.Copy(io.Discard, c)
			if n != 5 {
				t.Errorf("%d bytes came after the end of the sending", n)
			}
		}),
		"DEAF": listenPeer(t, func(c *net.TCPConn) { time.Sleep(10 * time.Second) }),
		"BIG": listenPeer(t, func(c *net.TCPConn) {
			line := strings.Repeat("0123456789abcdef", 1<<12) + "\n"
			for range 16 {
				if _, err := io.WriteString(c, line); err != nil {
					return
				}
			}
		}),
	}
	cases := []struct{ name, code, want, log string }{
		{"silent", `local s = dial(SILENT) s:settimeout(5) ngx.say(s:receive()) ngx.say(s:send("x")) ngx.say(s:receive(5)) ngx.say(s:close())`,
			"niltimeout\n1\nniltimeout\n1\n", "lua tcp socket read timed out, upstream: 127.0.0.1:SILENT(127.0.0.1)"},
		{"full", `local s = ngx.socket.tcp() s:settimeouts(5, 1000, 1000) ngx.say(s:connect("127.0.0.1", FULL)) ngx.say(s:receive()) ngx.say(s:setkeepalive())`,
			"niltimeout\nnilclosed\nnilclosed\n", "lua tcp socket connect timed out, upstream: 127.0.0.1:FULL(127.0.0.1)"},
		{"bytes", `local s = dial(BYTES) ngx.say(s:receive()) ngx.say(s:receive()) ngx.say(s:receiveuntil("end")()) ngx.say(s:receive("*a"))`,
			"line one\nline two\n--\n--rest\n", ""},
		{"any", `local s = dial(BYTES) local n = 0 while true do local d = s:receiveany(3) if not d then break end n = n + #d assert(#d <= 3) end ngx.say(n)`, "31\n", ""},
		{"reset", `local s = dial(RESET) ngx.say(s:receive(2)) s:send("x") ngx.say(s:receive(2)) ngx.say(s:receive(2)) ngx.say(s:send("y"))`,
			"ab\nnilconnection reset by peer\nnilclosed\nnilbroken pipe\n", "recv() failed (104: Connection reset by peer)"},
		{"half", `local s = dial(HALF) ngx.say(s:receive("*a")) ngx.say(s:send("12345")) ngx.say(s:receive()) ngx.say(s:close())`,
			"half\n5\nnilclosed\n1\n", ""},
		{"deaf", `local s = dial(DEAF) s:settimeout(20) local n, err = s:send(string.rep("x", 32 * 1024 * 1024)) ngx.say(n, err) ngx.say(s:send("x")) ngx.say(s:receive(1))`,
			"niltimeout\nnilclosed\nniltimeout\n", "lua tcp socket write timed out, upstream: 127.0.0.1:DEAF(127.0.0.1)"},
		{"lines", `local s = dial(BIG) local n = 0 while true do local d = s:receive() if not d then break end assert(#d == 65536) n = n + 1 end ngx.say(n)`, "16\n", ""},
		{"all", `local s = dial(BIG) ngx.say(#s:receive(100), " ", #s:receive(100000), " ", #s:receive("*a"))`, "100 100000 948492\n", ""},
		{"until", `local s = dial(BIG) local it = s:receiveuntil("f\n0") ngx.say(#it()) ngx.say(#it(1000), " ", #it())`, "65535\n1000 64534\n", ""},
		{"reader and writer", `local s = dial(HALF) local t = ngx.thread.spawn(function() return s:receive("*a") end) ngx.say(s:send("12345")) ngx.say(ngx.thread.wait(t))`,
			"5\ntruehalf\n", ""},
		{"killed reader", `local s = dial(SILENT) local t = ngx.thread.spawn(function() s:receive() ngx.say("never") end) ngx.say(ngx.thread.kill(t)) ngx.say(s:receive()) ngx.say(s:connect("127.0.0.1", SILENT))`,
			"1\nnilclosed\n1\n", ""},
		{"killed connect", `local s = ngx.socket.tcp() local t = ngx.thread.spawn(function() s:connect("127.0.0.1", FULL) ngx.say("never") end) ngx.say(s:receive()) ngx.say(s:getreusedtimes()) ngx.say(ngx.thread.kill(t)) ngx.sleep(0) ngx.say(s:send("x"))`,
			"nilsocket busy connecting\n0\n1\nnilclosed\n", ""},
		{"killed lookup", `local s = ngx.socket.tcp() local t = ngx.thread.spawn(function() s:connect("foo.test", 80) ngx.say("never") end) ngx.say(ngx.thread.kill(t)) ngx.sleep(0) ngx.say(s:connect("127.0.0.1", SILENT))`,
			"1\n1\n", ""},
		{"lookup", `ngx.say(ngx.socket.connect("foo.test", 80))`, "nilfoo.test could not be resolved (110: Operation timed out)\n", ""},
		{"pool", `local s = dial(SILENT) ngx.say(s:setkeepalive(10000, 1)) s = dial(SILENT) ngx.say(s:getreusedtimes()) local u = dial(SILENT) ngx.say(u:getreusedtimes()) ngx.say(s:setkeepalive(), u:setkeepalive()) s, u = dial(SILENT), dial(SILENT) ngx.say(s:getreusedtimes(), u:getreusedtimes())`,
			"1\n1\n0\n11\n10\n", ""},
		{"idle peer closes", `local s = dial(SHUT) ngx.say(s:receive(4)) ngx.say(s:send("12345")) dial(AFTER):receive() ngx.say(s:setkeepalive())`,
			"half\n5\nnilclosed\n", ""},
		{"idle timeout", `local s = dial(SILENT) s:setkeepalive(1) ngx.sleep(0.02) s = dial(SILENT) ngx.say(s:getreusedtimes())`, "0\n", ""},
		{"options", `local s = dial(SILENT) for _, o in ipairs{"keepalive", "reuseaddr", "tcp-nodelay", "keepintvl", "keepcnt"} do ngx.say(o, " ", s:setoption(o, 7), " ", s:getoption(o)) end ngx.say(s:setoption("sndbuf", 10000), " ", s:getoption("sndbuf"), " ", s:setoption("rcvbuf", 10000), " ", s:getoption("rcvbuf")) ngx.say(s:getoption("linger"))`,
			"keepalive true 1\nreuseaddr true 1\ntcp-nodelay true 1\nkeepintvl true 7\nkeepcnt true 7\ntrue 20000 true 20000\nnilunsupported option linger\n", ""},
		{"unix", `ngx.say(ngx.socket.tcp():connect("UNIX:/none/here")) ngx.say(ngx.socket.tcp():connect("UNIX:")) ngx.say(ngx.socket.udp():setpeername("Unix:/none/too"))`,
			"nilno such file or directory\nnilfailed to parse host name \"UNIX:\": no path in the unix domain socket\nnilno such file or directory\n",
			"[crit] connect() to UNIX:/none/here failed (2: No such file or directory), upstream: UNIX:/none/here(unix:/none/here)"},
		{"many lost", `for i = 1, 200 do local s = dial(SILENT) s = nil if i % 50 == 0 then collectgarbage() end end ngx.say("ok")`, "ok\n", ""},
	}
	var locations strings.Builder
	for i, c := range cases {
		code := c.code
		for name, p := range peers {
			code = strings.ReplaceAll(code, name, p)
		}
		fmt.Fprintf(&locations, "location /%d { content_by_lua_block { %s } }\n", i, code)
	}
	silentDNS, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silentDNS.Close()
	s := start(t, `init_by_lua_block { function dial(port) local s = ngx.socket.tcp() assert(s:connect("127.0.0.1", port)) return s end }`,
		"resolver "+silentDNS.LocalAddr().String()+"; resolver_timeout 20ms;\n"+locations.String(), nil)
	fds := descriptors(t)
	for i, c := range cases {
		if _, body := s.get(t, "/"+strconv.Itoa(i)); body != c.want {
			t.Errorf("%s: %q, want %q", c.name, body, c.want)
		}
	}
	// Idle connections and what the peers have open are all that may be left.
	waitUntil(t, "descriptors are closed", func() bool { return descriptors(t) <= fds+16 })
	log := s.log(t)
	for _, c := range cases {
		want := c.log
		for name, p := range peers {
			want = strings.ReplaceAll(want, name, p)
		}
		if !strings.Contains(log, want) {
			t.Errorf("%s: %q is not in the log:\n%s", c.name, want, log)
		}
	}
}

// descriptors is how many this process has open.
func descriptors(t testing.TB) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// waitUntil waits for something that other processes or goroutines bring about.
func waitUntil(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !f(); {
		if time.Now().After(end) {
			t.Fatalf("it never happens that %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// echo sends back what comes. Go's copying between two sockets would keep pipes for later.
func echo(c *net.TCPConn) {
	_, _ = io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c})
}

// TestSocketCrowd has 1,000 requests at the same time that talk to a peer, three times each, while another client
// asks for something small all the time.
func TestSocketCrowd(t *testing.T) {
	crowd := 1000
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	crowd = min(crowd, int(limit.Cur)/5) // each has four descriptors here
	peer := listenPeer(t, echo)
	s := start(t, "", `location / { content_by_lua_block {
		local s = ngx.socket.tcp()
		assert(s:connect("127.0.0.1", `+peer+`))
		for i = 1, 3 do
			local text = ngx.var.args .. ":" .. i
			assert(s:send(text .. "\n"))
			ngx.say(s:receive() == text)
			ngx.sleep(0.02)
		end
		if tonumber(ngx.var.args) % 2 == 0 then s:close() end
	} }
	location /hello { content_by_lua_block { ngx.say("hello") } }`, nil)
	goroutines, fds := runtime.NumGoroutine(), descriptors(t)
	var wg sync.WaitGroup
	begin, end := make(chan struct{}), make(chan struct{})
	for i := range crowd {
		wg.Go(func() {
			<-begin
			if _, body := s.get(t, fmt.Sprintf("/?%d", i)); body != "true\ntrue\ntrue\n" {
				t.Errorf("request %d: %q", i, body)
			}
		})
	}
	times := make(chan []time.Duration)
	go func() { times <- s.askAllTheTime(t, "/hello", "hello\n", end) }()
	close(begin)
	wg.Wait()
	close(end)
	all := <-times
	slices.Sort(all)
	p99 := all[len(all)*99/100]
	t.Logf("%d times hello: median %v, p99 %v, longest %v", len(all), all[len(all)/2], p99, all[len(all)-1])
	// One after the other the requests would take a minute.
	if p99 > 30*time.Second {
		t.Errorf("p99 of a hello is %v", p99)
	}
	waitUntil(t, "descriptors are closed", func() bool { return descriptors(t) <= fds })
	// The loop keeps some goroutines for later.
	waitUntil(t, "goroutines end", func() bool { return runtime.NumGoroutine() <= goroutines+64 })
	s.stop()
	waitUntil(t, "all goroutines end", func() bool { return runtime.NumGoroutine() <= goroutines })
}

// askAllTheTime asks for a path on one connection until end is closed, and returns how long the answers took.
func (s *server) askAllTheTime(t *testing.T, path, want string, end chan struct{}) (times []time.Duration) {
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for {
		begin := time.Now()
		r, err := client.Get("http://" + s.addr + path)
		if err != nil {
			t.Error(err)
			return times
		}
		body, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil || string(body) != want {
			t.Errorf("%q, %v", body, err)
			return times
		}
		times = append(times, time.Since(begin))
		select {
		case <-end:
			return times
		default:
		}
	}
}

// TestSocketClientGone ends requests whose clients go away while their code waits for a peer.
func TestSocketClientGone(t *testing.T) {
	gone := make(chan struct{}, 1)
	peer := listenPeer(t, func(c *net.TCPConn) {
		silent(c)
		gone <- struct{}{}
	})
	s := start(t, "lua_check_client_abort on;", `location / { content_by_lua_block {
		local s = ngx.socket.tcp() s:connect("127.0.0.1", `+peer+`) s:send("x") s:receive() ngx.log(ngx.ERR, "went on") } }
		location /body { content_by_lua_block { local s = ngx.req.socket() ngx.log(ngx.ERR, "body: ", s:receive(100)) } }
		location /quiet { lua_check_client_abort off; content_by_lua_block { local s = ngx.req.socket() ngx.log(ngx.ERR, "quiet: ", s:receive(100)) } }
		location /timeout { lua_socket_read_timeout 5ms; content_by_lua_block { local s = ngx.req.socket() ngx.say(s:receive(100)) } }
	`, nil)
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	waitUntil(t, "the code waits", func() bool { return strings.Contains(tcpStates(t), peerState(peer)) })
	c.Close()
	select {
	case <-gone:
	case <-time.After(patience):
		t.Fatal("the connection to the peer stays open")
	}
	for _, path := range []string{"/body", "/quiet"} {
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nabc", path)
		_ = c.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, c)
		c.Close()
	}
	c, err = net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "POST /timeout HTTP/1.0\r\nHost: h\r\nContent-Length: 100\r\n\r\nabc")
	answer, err := io.ReadAll(c)
	if err != nil || !strings.HasSuffix(string(answer), "niltimeoutabc\n") {
		t.Errorf("%q, %v", answer, err)
	}
	log := s.log(t)
	for _, want := range []string{"body: nilclient abortedabc", "quiet: nilclient abortedabc"} {
		if !strings.Contains(log, want) {
			t.Errorf("%q is not in the log:\n%s", want, log)
		}
	}
	if strings.Contains(log, "went on") {
		t.Errorf("code went on without its client:\n%s", log)
	}
}

func tcpStates(t testing.TB) string {
	t.Helper()
	data, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// peerState is how an open connection to a port of 127.0.0.1 begins in /proc/net/tcp.
func peerState(port string) string {
	n, _ := strconv.Atoi(port)
	return fmt.Sprintf(" 0100007F:%04X 01 ", n)
}

// TestRawSocket speaks a protocol of its own with the client, in both directions at once.
func TestRawSocket(t *testing.T) {
	s := start(t, "", `location / { content_by_lua_block {
		ngx.req.read_body()
		local s = assert(ngx.req.socket(true))
		assert(s:send("HTTP/1.1 101 Switching Protocols\r\n\r\n"))
		local t = ngx.thread.spawn(function()
			for i = 1, 100 do assert(s:send("from server " .. i .. "\n")) end
		end)
		for i = 1, 100 do assert(s:receive() == "from client " .. i) end
		ngx.thread.wait(t)
		s:send("done\n")
	} }`, nil)
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\nfrom client 1\nfrom cl")
	go func() {
		fmt.Fprintf(c, "ient 2\n")
		for i := 3; i <= 100; i++ {
			fmt.Fprintf(c, "from client %d\n", i)
		}
	}()
	r := bufio.NewReader(c)
	for i := -1; i <= 101; i++ {
		line, err := r.ReadString('\n')
		want := fmt.Sprintf("from server %d\n", i)
		switch i {
		case -1:
			want = "HTTP/1.1 101 Switching Protocols\r\n"
		case 0:
			want = "\r\n"
		case 101:
			want = "done\n"
		}
		if err != nil || line != want {
			t.Fatalf("%q, %v, want %q", line, err, want)
		}
	}
	if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 {
		t.Errorf("%q, %v at the end", rest, err)
	}
}
