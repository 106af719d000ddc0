package httplua_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"perilune/internal/freeport"
)

// collector keeps the lines that log servers get.
type collector struct {
	mu    sync.Mutex
	lines []string
	count map[string]int
}

func newCollector() *collector { return &collector{count: make(map[string]int)} }

// read reads from a connection to its end.
func (c *collector) read(r io.Reader) {
	b := bufio.NewReader(r)
	for {
		line, err := b.ReadString('\n')
		if err != nil {
			return // what has no end of a line is not complete
		}
		c.add(strings.TrimSuffix(line, "\n"))
	}
}

func (c *collector) add(line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lines = append(c.lines, line)
	c.count[line]++
}

func (c *collector) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.lines)
}

// want waits until there are n lines, numbered from 1, each of them once.
func (c *collector) want(t *testing.T, n int) {
	t.Helper()
	for end := time.Now().Add(patience); c.len() < n && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := 1; i <= n; i++ {
		if k := c.count[fmt.Sprint(i)]; k != 1 {
			t.Errorf("line %d came %d times", i, k)
		}
	}
	if len(c.lines) != n {
		t.Errorf("%d lines, want %d", len(c.lines), n)
	}
}

// loggerServer is a worker that logs to a server at "127.0.0.1:port": /log?from=..&to=.. logs numbers, /flush and /stats do what
// their names say.
func loggerServer(t *testing.T, config string) (*server, func(uri string) string) {
	t.Helper()
	c := &diffCase{sections: []section{{"http", `
lua_ssl_trusted_certificate root.pem;
init_by_lua_block {
	logger = require "resty.logger.socket"
	assert(not logger.initted())
	assert(select(2, logger.log("x")) == "not initialized")
	assert(logger.init{` + config + `})
}
`}, {"server", `
location = /log { content_by_lua_block {
	local a = ngx.req.get_uri_args()
	local bytes = 0
	for i = a.from, a.to do
		bytes = bytes + logger.log(i .. "\n")
		if a.nap then ngx.sleep(0.001) end
	end
	ngx.say(bytes)
} }
location = /big { content_by_lua_block { ngx.say(logger.log(string.rep("x", 70000))) } }
location = /flush { content_by_lua_block { ngx.say(logger.flush()) } }
location = /stats { content_by_lua_block {
	local s = logger.stats()
	ngx.print("sent ", s.sent, " lost ", s.lost, " buffered ", s.buffered)
} }
`}}}
	addr := freeport.Addr(t)
	dir := c.prefix(t, "", "", addr)
	_ = pki(t, filepath.Join(dir, "conf"))
	s, err := serve(t, dir, addr)
	if err != nil {
		t.Fatal(err)
	}
	return s, func(uri string) string {
		q := &diffCase{sections: []section{{"request", "GET " + uri + " HTTP/1.0\n"}}}
		_, body, _ := strings.Cut(q.ask(t, addr)[0], "\n\\r\n")
		return strings.TrimRight(body, "\n\\")
	}
}

// until waits for an answer.
func until(t *testing.T, ask func(string) string, uri, want string) {
	t.Helper()
	got := ""
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if got = ask(uri); got == want {
			return
		}
	}
	t.Errorf("%s: %s, want %s", uri, got, want)
}

func TestLogger(t *testing.T) {
	c := newCollector()
	port := listenFor(t, func(conn net.Conn) { c.read(conn) })
	_, ask := loggerServer(t, `host = "127.0.0.1", port = `+port+`, flush_limit = 10`)
	if got := ask("/log?from=1&to=3"); got != "6" {
		t.Error(got)
	}
	if got := ask("/stats"); got != "sent 0 lost 0 buffered 3" {
		t.Error(got)
	}
	if got := ask("/flush"); got != "6" {
		t.Error(got)
	}
	c.want(t, 3)
	ask("/log?from=4&to=5000")
	ask("/flush")
	c.want(t, 5000)
	for i, line := range c.lines {
		if line != fmt.Sprint(i+1) {
			t.Fatalf("line %d is %s", i+1, line)
		}
	}
	until(t, ask, "/stats", "sent 5000 lost 0 buffered 0")
}

func TestLoggerPeriodic(t *testing.T) {
	c := newCollector()
	port := listenFor(t, func(conn net.Conn) { c.read(conn) })
	_, ask := loggerServer(t, `host = "127.0.0.1", port = `+port+`, periodic_flush = 0.02`)
	ask("/log?from=1&to=2")
	c.want(t, 2)
}

func TestLoggerUnix(t *testing.T) {
	c := newCollector()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err == nil {
			c.read(conn)
		}
	}()
	_, ask := loggerServer(t, `path = "`+path+`", flush_limit = 1`)
	ask("/log?from=1&to=100")
	c.want(t, 100)
}

func TestLoggerTLS(t *testing.T) {
	dir := t.TempDir()
	c := newCollector()
	good := pki(t, dir)["good"]
	port := listenFor(t, func(conn net.Conn) { c.read(tls.Server(conn, good.config())) })
	start := func(more string) (*server, func(string) string) {
		s, ask := loggerServer(t, `host = "127.0.0.1", port = `+port+`, flush_limit = 1, max_retry_times = 0, ssl = true, `+more)
		return s, ask
	}
	_, ask := start(`ssl_verify = false`)
	ask("/log?from=1&to=1000")
	c.want(t, 1000)
	s, ask := start(`sni_host = "good.test"`) // of another authority
	ask("/log?from=1&to=1")
	for end := time.Now().Add(patience); time.Now().Before(end) && !strings.Contains(readLog(t, s.dir, s.addr), "cannot send"); {
		time.Sleep(5 * time.Millisecond)
	}
	if log := readLog(t, s.dir, s.addr); !strings.Contains(log, "resty.logger.socket: cannot send to 127.0.0.1:"+port+": 21: unable to verify the first certificate; 2 bytes wait") {
		t.Error(log)
	}
}

// TestLoggerResets has the server break its connections. What its kernel has confirmed is lost with them, nobody can know; but no line
// comes twice.
func TestLoggerResets(t *testing.T) {
	c := newCollector()
	n := 0
	var mu sync.Mutex
	port := listenFor(t, func(conn net.Conn) {
		mu.Lock()
		n++
		broken := n <= 20
		mu.Unlock()
		if !broken {
			c.read(conn)
			return
		}
		go func() {
			time.Sleep(3 * time.Millisecond)
			_ = conn.(*net.TCPConn).SetLinger(0)
			_ = conn.Close()
		}()
		c.read(conn)
	})
	_, ask := loggerServer(t, `host = "127.0.0.1", port = `+port+`, flush_limit = 1, retry_interval = 1`)
	ask("/log?from=1&to=1000&nap=1")
	until(t, ask, "/stats", "sent 1000 lost 0 buffered 0")
	c.mu.Lock()
	defer c.mu.Unlock()
	for line, k := range c.count {
		if k > 1 {
			t.Errorf("line %s came %d times", line, k)
		}
	}
}

// TestLoggerRestarts has the server end every connection after a while, in ways that lose nothing that it has got, and be away in
// between.
func TestLoggerRestarts(t *testing.T) {
	c := newCollector()
	addr := freeport.Addr(t)
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(addr)
	done := make(chan struct{})
	rounds := 0
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			rounds++
			if c.len() > 2000 {
				c.read(conn)
				_ = conn.Close()
				continue
			}
			switch i % 2 {
			case 0: // ends its side, but reads on
				go func() {
					time.Sleep(3 * time.Millisecond)
					_ = conn.(*net.TCPConn).CloseWrite()
				}()
				c.read(conn)
			case 1: // a process that ends: the listener goes first
				_ = l.Close()
				time.Sleep(3 * time.Millisecond)
				_ = conn.(*net.TCPConn).CloseWrite()
				c.read(conn)
				if l, err = net.Listen("tcp", addr); err != nil {
					t.Error(err)
					return
				}
			}
			_ = conn.Close()
		}
	}()
	_, ask := loggerServer(t, `host = "127.0.0.1", port = `+port+`, flush_limit = 1, retry_interval = 1`)
	const n = 3000
	ask(fmt.Sprintf("/log?from=1&to=%d&nap=1", n))
	c.want(t, n)
	until(t, ask, "/stats", fmt.Sprintf("sent %d lost 0 buffered 0", n))
	_ = l.Close()
	if rounds < 4 {
		t.Errorf("%d connections only", rounds)
	}
}

// TestLoggerSwallowed has a server end with data in flight: what its kernel has not confirmed comes again.
func TestLoggerSwallowed(t *testing.T) {
	c := newCollector()
	block := make(chan struct{})
	first := true
	var mu sync.Mutex
	port := listenFor(t, func(conn net.Conn) {
		mu.Lock()
		was := first
		first = false
		mu.Unlock()
		if !was {
			c.read(conn)
			return
		}
		_ = conn.(*net.TCPConn).SetReadBuffer(4096)
		<-block // reads nothing, so that the rest stays with the sender
		_ = conn.(*net.TCPConn).SetLinger(0)
	})
	_, ask := loggerServer(t, `host = "127.0.0.1", port = `+port+`, flush_limit = 1, retry_interval = 1, timeout = 5000, drop_limit = 100000000`)
	const n = 600000
	ask(fmt.Sprintf("/log?from=1&to=%d", n))
	close(block)
	// The last lines cannot have fitted into the first connection.
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		c.mu.Lock()
		last := c.count[fmt.Sprint(n)]
		c.mu.Unlock()
		if last > 0 {
			break
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.lines) == 0 {
		t.Fatal("nothing came again")
	}
	from := n - len(c.lines)
	for i, line := range c.lines {
		if line != fmt.Sprint(from+i+1) {
			t.Fatalf("line %d is %s of %d: not all that is left, in its order", i, line, len(c.lines))
		}
	}
}

func TestLoggerDrops(t *testing.T) {
	s, ask := loggerServer(t, `host = "127.0.0.1", port = 1, flush_limit = 10, drop_limit = 100, max_retry_times = 1, retry_interval = 1`)
	if got := ask("/log?from=1&to=100"); got != "99" { // 9 lines of 2 bytes, 27 of 3
		t.Error(got)
	}
	if got := ask("/stats"); got != "sent 0 lost 64 buffered 36" {
		t.Error(got)
	}
	for end := time.Now().Add(patience); time.Now().Before(end) && !strings.Contains(readLog(t, s.dir, s.addr), "cannot send"); {
		time.Sleep(5 * time.Millisecond)
	}
	log := readLog(t, s.dir, s.addr)
	for _, want := range []string{
		"[error] resty.logger.socket: 1 messages for 127.0.0.1:1 lost, 3 bytes",
		"[error] resty.logger.socket: cannot send to 127.0.0.1:1: connection refused; 99 bytes wait",
	} {
		if !strings.Contains(log, want) {
			t.Errorf("%s\nwant %s", log, want)
		}
	}
	// The end of the worker tells the rest.
	s.stop()
}

func TestLoggerUDP(t *testing.T) {
	p, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	c := newCollector()
	go func() {
		b := make([]byte, 1<<16)
		for {
			n, _, err := p.ReadFrom(b)
			if err != nil {
				return
			}
			c.add(strings.TrimSuffix(string(b[:n]), "\n"))
		}
	}()
	_, port, _ := net.SplitHostPort(p.LocalAddr().String())
	s, ask := loggerServer(t, `host = "127.0.0.1", port = `+port+`, sock_type = "udp", flush_limit = 20, retry_interval = 1`)
	ask("/log?from=1&to=20")
	if got := ask("/big"); got != "70000" {
		t.Error(got)
	}
	ask("/log?from=21&to=40")
	ask("/flush")
	c.want(t, 40)
	until(t, ask, "/stats", "sent 40 lost 1 buffered 0")
	if log := readLog(t, s.dir, s.addr); !strings.Contains(log, "message of 70000 bytes does not fit into a datagram") {
		t.Error(log)
	}
}

func TestLoggerConfig(t *testing.T) {
	c := &diffCase{sections: []section{{"server", `location = /t { content_by_lua_block {
local socket = require "resty.logger.socket"
local function try(config) ngx.say((select(2, socket.new(config)))) end
try()
try{}
try{host = 1, port = 1}
try{host = "a"}
try{host = "a", port = "1"}
try{host = "a", port = 70000}
try{path = 1}
try{path = "/x", sock_type = 1}
try{path = "/x", sock_type = "sctp"}
for _, name in ipairs{"flush_limit", "drop_limit", "timeout", "max_retry_times", "retry_interval", "pool_size", "max_buffer_reuse", "periodic_flush"} do
	try{path = "/x", [name] = -1}
end
try{path = "/x", flush_limit = 0/0}
try{path = "/x", flush_limit = 5, drop_limit = 5}
try{path = "/x", ssl = 1}
try{path = "/x", ssl_verify = "yes"}
try{path = "/x", sni_host = {}}
try{host = "a", port = 1, sock_type = "udp", ssl = true}
try{host = "[::g]", port = 1}
local a, b = socket.new{host = "127.0.0.1", port = 1}, socket:new{path = "/x"}
ngx.say(a:initted(), " ", socket.initted(), " ", a:log(12), " ", a:stats().buffered, " ", b:stats().buffered)
ngx.say(pcall(a.log, "x"))
} }`}}}
	addr := freeport.Addr(t)
	dir := c.prefix(t, "", "", addr)
	s, err := serve(t, dir, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer s.stop()
	c.sections = append(c.sections, section{"request", "GET /t HTTP/1.0\n"})
	_, body, _ := strings.Cut(c.ask(t, addr)[0], "\n\\r\n")
	const needs = "no logging server configured. \"host\"/\"port\" or \"path\" is required.\n"
	want := "user_config must be a table\n" + needs + "\"host\" must be a string\n" + needs + "\"port\" must be a number\n" +
		"\"port\" out of range 0~65535\n\"path\" must be a string\n\"sock_type\" must be a string\n\"sock_type\" must be \"tcp\" or \"udp\"\n"
	for _, name := range []string{"flush_limit", "drop_limit", "timeout", "max_retry_times", "retry_interval", "pool_size", "max_buffer_reuse", "periodic_flush"} {
		want += "invalid \"" + name + "\"\n"
	}
	want += "invalid \"flush_limit\"\n\"flush_limit\" should be < \"drop_limit\"\n\"ssl\" must be a boolean value\n\"ssl_verify\" must be a boolean value\n" +
		"\"sni_host\" must be a string\n\"ssl\" needs \"sock_type\" \"tcp\"\nfailed to parse host name \"[::g]\": invalid IPv6 address\n" +
		"true false 2 1 0\nfalsebad argument #1 to '?' (logger expected, got string)\n"
	if body != want {
		t.Errorf("%s\nwant\n%s", body, want)
	}
}
