package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// load is a crowd of clients that send requests without pause.
type load struct {
	addr    string
	stop    atomic.Bool
	wg      sync.WaitGroup
	done    atomic.Int64 // requests answered as they should be
	raced   atomic.Int64 // sent just when the server closed the idle connection
	lost    atomic.Int64 // cut off with the worker that held them
	mu      sync.Mutex
	killed  map[int]bool // workers that the test has killed
	errs    []string
	clients []*client
}

// client is one of the crowd.
type client struct {
	*load
	id        int
	keepAlive bool
	n         int
	conn      net.Conn
	r         *bufio.Reader
	used      bool         // the connection has carried a request before
	worker    int          // that answered the last one on this connection
	answered  atomic.Int64 // requests
}

func startLoad(addr string, keepAlive, fresh int) *load {
	l := &load{addr: addr, killed: make(map[int]bool)}
	for i := range keepAlive + fresh {
		c := &client{load: l, id: i, keepAlive: i < keepAlive}
		l.clients = append(l.clients, c)
		l.wg.Go(c.run)
	}
	return l
}

func (l *load) fail(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.errs = append(l.errs, fmt.Sprintf(format, args...))
}

func (l *load) kill(pid int) {
	l.mu.Lock()
	l.killed[pid] = true
	l.mu.Unlock()
	syscall.Kill(pid, syscall.SIGKILL)
}

// mayBeLost reports whether a request that the worker held may have been cut
// off: pid is 0 when it is not known which worker had the connection.
func (l *load) mayBeLost(pid int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.killed[pid] || pid == 0 && len(l.killed) > 0
}

// finish stops the clients and reports what went wrong.
func (l *load) finish(t *testing.T) {
	t.Helper()
	l.stop.Store(true)
	l.wg.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, e := range l.errs {
		if i == 20 {
			t.Errorf("… and %d more", len(l.errs)-i)
			break
		}
		t.Error(e)
	}
	if len(l.killed) == 0 && l.lost.Load() > 0 {
		t.Errorf("%d requests were cut off and nobody had been killed", l.lost.Load())
	}
	if most := int64(len(l.killed) * len(l.clients)); l.lost.Load() > most {
		t.Errorf("%d requests were cut off by %d kills, more than were under way", l.lost.Load(), len(l.killed))
	}
	t.Logf("%d requests answered, %d met the end of an idle connection, %d were cut off by %d kills",
		l.done.Load(), l.raced.Load(), l.lost.Load(), len(l.killed))
}

// progress returns how many requests each client has had answered.
func (l *load) progress() []int64 {
	var p []int64
	for _, c := range l.clients {
		p = append(p, c.answered.Load())
	}
	return p
}

// allServed reports whether every client has had an answer since.
func (l *load) allServed(since []int64) bool {
	for i, c := range l.clients {
		if c.answered.Load() <= since[i] {
			return false
		}
	}
	return true
}

func (c *client) run() {
	defer c.close()
	for !c.stop.Load() {
		c.n++
		if !c.request() {
			return
		}
		if !c.keepAlive {
			c.close()
		}
	}
}

func (c *client) close() {
	if c.conn != nil {
		c.conn.Close()
	}
	c.conn, c.used, c.worker = nil, false, 0
}

// request sends one request and checks the answer. It tries again when the
// server closed a connection that was idle from its side, which every client
// of HTTP/1.1 must expect (RFC 9112, 9.3.1), and when a killed worker took
// the request with it.
func (c *client) request() bool {
	id := fmt.Sprintf("%d-%d", c.id, c.n)
	body := ""
	text := "GET /?id=" + id + " HTTP/1.1\r\nHost: x\r\n\r\n"
	if rand.IntN(4) == 0 {
		body = strings.Repeat("b", rand.IntN(20000))
		text = fmt.Sprintf("POST /?id=%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", id, len(body), body)
	}
	for range 5 {
		got, err := c.exchange(text)
		if err == nil {
			return c.check(id, body, got)
		}
		var refused *net.OpError
		worker, used := c.worker, c.used
		c.close()
		switch {
		case errors.As(err, &refused) && refused.Op == "dial":
			c.fail("client %s: %v", id, err)
			return false
		case c.mayBeLost(worker):
			c.lost.Add(1)
		case used && got == nil && closedByPeer(err):
			c.raced.Add(1)
		default:
			c.fail("client %s, worker %d: %v", id, worker, err)
			return false
		}
	}
	c.fail("client %s: five attempts failed", id)
	return false
}

func closedByPeer(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// exchange returns a nil reply with an error when nothing at all has come back.
func (c *client) exchange(text string) (*reply, error) {
	if c.conn == nil {
		conn, err := net.DialTimeout("tcp", c.addr, patience)
		if err != nil {
			return nil, err
		}
		c.conn, c.r = conn, bufio.NewReader(conn)
	}
	c.conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c.conn, text); err != nil {
		return nil, err
	}
	if _, err := c.r.Peek(1); err != nil {
		return nil, err
	}
	r, err := readReply(c.r, "GET")
	if err != nil && r == nil {
		r = new(reply)
	}
	return r, err
}

func (c *client) check(id, body string, r *reply) bool {
	pid, rest, _ := strings.Cut(r.body, " ")
	if r.status != 200 || rest != id+" "+body {
		c.fail("client %s: %d %.100q, %d bytes", id, r.status, r.body, len(r.body))
		return false
	}
	c.worker, _ = strconv.Atoi(pid)
	c.used = true
	if r.header.Get("Connection") == "close" {
		c.close()
	}
	c.done.Add(1)
	c.answered.Add(1)
	return true
}

// TestReloadsAndKillsUnderLoad: 50 clients on kept connections and 8 on fresh
// ones notice nothing of 30 reloads, and of 10 killed workers no more than
// that the requests which these held are lost.
func TestReloadsAndKillsUnderLoad(t *testing.T) {
	reloads, kills := 30, 10
	if testing.Short() {
		reloads, kills = 8, 3
	}
	conf := func(workers int) config {
		return config{
			main: fmt.Sprintf("daemon off; worker_processes %d;", workers),
			http: "keepalive_requests 1000000; client_body_buffer_size 32k;",
			servers: `location / { content_by_lua_block {
				ngx.req.read_body()
				if math.random(10) == 1 then ngx.sleep(0.002) end
				ngx.print(ngx.worker.pid(), " ", ngx.var.arg_id, " ", ngx.req.get_body_data() or "")
			} }`,
		}
	}
	s := start(t, conf(2))
	workers := s.newWorkers(2, nil)
	// After a reload those that are there are ready.
	s.signal(syscall.SIGHUP)
	workers = s.newWorkers(2, workers)
	sockets := func() (n int) {
		for _, f := range openFiles(t, workers[0]) {
			if f == "socket" {
				n++
			}
		}
		return n
	}
	idle := sockets()
	s.get("/?id=1")
	s.waitFor("the connection to be closed", func() bool { return sockets() <= idle })
	masterFiles, workerFiles := openFiles(t, s.pid), openFiles(t, workers[0])

	l := startLoad(s.addr, 50, 8)
	for i := range reloads {
		if i == reloads/3 {
			s.brokenReload(workers)
			continue
		}
		n := []int{2, 4, 1, 3, 2}[i%5]
		s.writeConf(conf(n))
		s.signal(syscall.SIGHUP)
		if i%7 == 6 {
			s.signal(syscall.SIGHUP)
		}
		workers = s.newWorkers(n, workers)
		before := l.progress()
		s.waitFor("an answer for every client", func() bool { return l.allServed(before) || l.failed() })
	}
	l.finish(t)

	s.writeConf(conf(2))
	s.signal(syscall.SIGHUP)
	workers = s.newWorkers(2, workers)
	l = startLoad(s.addr, 50, 8)
	for i := range kills {
		before := l.progress()
		s.waitFor("an answer for every client", func() bool { return l.allServed(before) || l.failed() })
		victim := workers[i%len(workers)]
		l.kill(victim)
		s.waitFor("the next worker", func() bool {
			workers = s.workers()
			return len(workers) == 2 && !slices.Contains(workers, victim)
		})
	}
	before := l.progress()
	s.waitFor("an answer for every client", func() bool { return l.allServed(before) || l.failed() })
	l.finish(t)

	// Nothing has piled up in master and workers.
	s.waitFor("the master's descriptors to be no more than they were", func() bool {
		return len(openFiles(t, s.pid)) <= len(masterFiles) || againstReal
	})
	for _, w := range s.workers() {
		var now []string
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("descriptors of worker %d: %q, in the beginning %q", w, now, workerFiles)
			}
		})
		s.waitFor("the worker's descriptors to be what they were", func() bool {
			now = openFiles(t, w)
			return slices.Equal(now, workerFiles) || againstReal
		})
	}
}

func (l *load) failed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.errs) > 0
}

// brokenReload makes the server read a file that it must refuse.
func (s *server) brokenReload(workers []int) {
	s.t.Helper()
	good := s.readFile("conf/nginx.conf")
	s.writeConf(config{servers: "no_such_directive;"})
	from := s.logSize()
	s.signal(syscall.SIGHUP)
	s.waitLog(from, `unknown directive "no_such_directive"`)
	if got := s.workers(); !slices.Equal(got, workers) {
		s.t.Errorf("after a broken file the workers are %v, before it %v", got, workers)
	}
	s.writeFile("conf/nginx.conf", good)
}
