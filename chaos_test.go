package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// load is a crowd of clients of every kind, over every kind of listen socket. It counts what goes wrong.
type load struct {
	t    *testing.T
	stop atomic.Bool
	wg   sync.WaitGroup
	done [len(clients)]atomic.Int64

	mu       sync.Mutex
	kills    []time.Time // when workers were dead that were killed
	held     int         // failures of requests that a killed worker held
	failures []string
}

// clients are the kinds of client. Each makes one request.
var clients = [...]struct {
	name      string
	keepAlive bool
	request   func(c *http.Client) error
}{
	{"keep-alive", true, func(c *http.Client) error { return get(c, "/", "hello") }},
	{"fresh", false, func(c *http.Client) error { return get(c, "/", "hello") }},
	{"streaming", false, func(c *http.Client) error { return get(c, "/big", strings.Repeat("x", 16000)) }},
	{"slow upload", false, upload},
	{"long poll", false, func(c *http.Client) error { return get(c, "/sleep?t=0.6", "slept") }},
}

func get(c *http.Client, path, want string) error {
	r, err := c.Get("http://test" + path)
	return checkAnswer(r, err, want)
}

func checkAnswer(r *http.Response, err error, want string) error {
	if err != nil {
		return err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	if r.StatusCode != 200 || string(b) != want {
		return fmt.Errorf("status %d, %d bytes: %.40q", r.StatusCode, len(b), b)
	}
	return nil
}

// upload sends a body in pieces.
func upload(c *http.Client) error {
	const pieces, size = 6, 8000
	r, w := io.Pipe()
	go func() {
		for range pieces {
			time.Sleep(30 * time.Millisecond) // what makes it slow
			if _, err := w.Write(bytes.Repeat([]byte("u"), size)); err != nil {
				return
			}
		}
		w.Close()
	}()
	req, err := http.NewRequest("POST", "http://test/upload", r)
	if err != nil {
		return err
	}
	req.ContentLength = pieces * size
	res, err := c.Do(req)
	return checkAnswer(res, err, fmt.Sprint(pieces*size))
}

// startLoad lets the clients loose on some addresses: pairs of network and address.
func startLoad(t *testing.T, addrs [][2]string) *load {
	l := &load{t: t}
	for _, at := range addrs {
		for kind := range clients {
			l.wg.Go(func() { l.run(kind, at) })
		}
	}
	return l
}

func (l *load) run(kind int, at [2]string) {
	k := &clients[kind]
	tr := &http.Transport{
		DisableKeepAlives: !k.keepAlive,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, at[0], at[1])
		},
	}
	defer tr.CloseIdleConnections()
	c := &http.Client{Transport: tr, Timeout: patience}
	for !l.stop.Load() {
		start := time.Now()
		if err := k.request(c); err != nil {
			l.failed(fmt.Sprintf("%s over %s: %v", k.name, at[0], err), err, start)
		}
		l.done[kind].Add(1)
		time.Sleep(10 * time.Millisecond) // the rate of the client
	}
}

// failed takes down a failure. A request that was under way when a worker was killed may have been that one's.
func (l *load) failed(text string, err error, start time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	killed := slices.ContainsFunc(l.kills, func(at time.Time) bool { return at.After(start) })
	if killed && !errors.Is(err, syscall.ECONNREFUSED) {
		l.held++
		return
	}
	l.failures = append(l.failures, text)
}

// kill kills a worker. Until it is dead any request may be its.
func (l *load) kill(pid int) {
	l.mu.Lock()
	l.kills = append(l.kills, time.Now().Add(time.Hour))
	l.mu.Unlock()
	_ = syscall.Kill(pid, syscall.SIGKILL)
	for alive(pid) {
		time.Sleep(time.Millisecond)
	}
	l.mu.Lock()
	l.kills[len(l.kills)-1] = time.Now()
	l.mu.Unlock()
}

func (l *load) end() (total int64) {
	l.stop.Store(true)
	l.wg.Wait()
	for i := range clients {
		n := l.done[i].Load()
		l.t.Logf("%s: %d requests", clients[i].name, n)
		total += n
	}
	for i, f := range l.failures {
		if i == 20 {
			l.t.Errorf("and %d more", len(l.failures)-i)
			break
		}
		l.t.Error(f)
	}
	return total
}

// watchPid reads the pid file all the time: it must always name a process that lives.
func watchPid(t *testing.T, s *site) (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		reads, bad := 0, 0
		for {
			select {
			case <-done:
				t.Logf("the pid file was read %d times", reads)
				return
			case <-time.After(time.Millisecond):
			}
			reads++
			pid := s.pid()
			// The process may have left its place to another between the two looks.
			if pid == 0 || !alive(pid) && s.pid() == pid {
				if bad++; bad < 10 {
					t.Errorf("the pid file names process %d", pid)
				}
			}
		}
	})
	return func() {
		close(done)
		wg.Wait()
	}
}

// chaos is one run of everything that can happen to a server.
type chaos struct {
	*site
	one, two string // programs
	version  int    // of the program that is installed
	conf     string
}

func (c *chaos) upgradeNow() {
	c.version = 1 + c.version%2
	c.install([]string{c.one, c.two}[c.version-1])
	c.upgrade()
	if v, want := c.site.version(), fmt.Sprintf("%d.0", c.version); v != want {
		c.t.Errorf("version %s, want %s", v, want)
	}
}

// reload changes the number of workers.
func (c *chaos) reload(workers int) {
	c.write("conf/nginx.conf", strings.Replace(c.conf, "worker_processes 2", fmt.Sprint("worker_processes ", workers), 1))
	old := 0
	if r, err := report(c.site); err == nil {
		old = r.Generation
	}
	c.signal(syscall.SIGHUP)
	c.until("the reload is done", func() bool {
		r, err := report(c.site)
		return err == nil && r.Generation > old && r.State == "serving"
	})
}

// failing are the ways for an upgrade to fail.
var failing = []struct {
	name    string
	prepare func(c *chaos)
}{
	{"missing", func(c *chaos) { os.Remove(c.bin) }},
	{"garbage", func(c *chaos) { c.installFile([]byte("\x7fELF"), 0o755) }},
	{"exits", func(c *chaos) { c.installFile([]byte("#!/bin/sh\nexit 7\n"), 0o755) }},
	{"crashes", func(c *chaos) { c.installFile([]byte("#!/bin/sh\nkill -SEGV $$\n"), 0o755) }},
	{"bad configuration", func(c *chaos) { c.write("conf/nginx.conf", "broken;") }},
	{"bad Lua code", func(c *chaos) {
		c.write("conf/nginx.conf", strings.Replace(c.conf, "http {", "http { init_by_lua_block { error('no') }", 1))
	}},
	{"hangs", func(c *chaos) { c.installFile([]byte("#!/bin/sh\nexec sleep 60\n"), 0o755) }},
}

func (c *chaos) failUpgrade(kind int) {
	failing[kind].prepare(c)
	old := c.pid()
	count := func() int { return strings.Count(c.read("logs/error.log"), "upgrade failed, the old binary stays: ") }
	have := count()
	c.signal(syscall.SIGUSR2)
	c.until("the upgrade has failed: "+failing[kind].name, func() bool { return count() == have+1 })
	if c.pid() != old {
		c.t.Errorf("%s: the master is another one", failing[kind].name)
	}
	c.write("conf/nginx.conf", c.conf)
	c.install([]string{c.one, c.two}[c.version-1])
}

// TestChaos is the short form; make chaos sets PERILUNE_CHAOS to the number of rounds for the long one. A round is an upgrade,
// some reloads, failed upgrades, and a killed worker, under load.
func TestChaos(t *testing.T) {
	rounds, kinds, timeout := 3, len(failing)-1, "60s"
	if v := os.Getenv("PERILUNE_CHAOS"); v != "" {
		if _, err := fmt.Sscan(v, &rounds); err != nil {
			t.Fatal(err)
		}
		kinds, timeout = len(failing), "3s" // what the one that hangs takes
	}
	c := &chaos{site: newSite(t), one: build(t, "1.0"), two: build(t, "2.0"), version: 1}
	c.install(c.one)
	second := c.upgradeConf("upgrade_timeout "+timeout+"; worker_hang_timeout 20s;", "access_log off;")
	c.conf = strings.Replace(c.read("conf/nginx.conf"), "error.log info", "error.log notice", 1)
	c.write("conf/nginx.conf", c.conf)
	c.mustRun()
	c.until("there are two workers", func() bool { return len(children(c.pid())) == 2 })
	c.upgradeNow()
	// The most workers that there will be: a socket of each stays open.
	c.reload(3)
	c.reload(2)
	c.until("the first processes are gone", func() bool { return len(c.processes()) == 3 })
	before, most := fds(c.pid()), max(goroutines(c.site), restingGoroutines)
	unwatch := watchPid(t, c.site)
	l := startLoad(t, [][2]string{{"tcp", c.addr}, {"tcp", second}, {"unix", c.path("sock")}})
	upgrades, reloads, failed, kills := 0, 0, 0, 0
	for round := range rounds {
		c.upgradeNow()
		upgrades++
		for i := range 2 {
			c.reload(1 + (round+i)%3)
			reloads++
		}
		// Every kind has had five turns after twenty rounds.
		for i := range 2 {
			c.failUpgrade((2*round + i) % kinds)
			failed++
		}
		if w := children(c.pid()); len(w) > 0 {
			l.kill(w[rand.IntN(len(w))])
			kills++
		}
		// Both at once: the reload is done before or after, never within.
		old := c.pid()
		c.signal(syscall.SIGHUP)
		c.signal(syscall.SIGUSR2)
		c.until("the upgrade after the reload is done", func() bool { return c.pid() != old && !alive(old) })
		upgrades++
		reloads++
	}
	c.reload(2)
	total := l.end()
	unwatch()
	t.Logf("%d requests in %d upgrades, %d reloads, %d failed upgrades, %d killed workers, which held %d requests", total, upgrades, reloads, failed, kills, l.held)
	c.until("no process is left over", func() bool { return len(c.processes()) == 3 })
	defer func() {
		if t.Failed() {
			t.Logf("descriptors now\n%v\nand before\n%v", fds(c.pid()), before)
		}
	}()
	// The connection of a status command may have been among those before.
	c.until("the master has no more descriptors than it had", func() bool { return len(fds(c.pid())) <= len(before) })
	c.until("the workers have no more goroutines than those of before", func() bool { return goroutines(c.site) <= most })
	pid := c.pid()
	c.mustRun("-s", "quit")
	c.until("it has ended", func() bool { return !alive(pid) && len(c.processes()) == 0 })
}

// restingGoroutines is how many a worker that has had work keeps for its loop: they are parked in a pool for the next hand-over.
const restingGoroutines = 80

// goroutines is how many the worker that has most of them had at its last heartbeat.
func goroutines(s *site) int {
	r, err := report(s)
	if err != nil {
		s.t.Fatal(err)
	}
	most := 0
	for _, w := range r.Workers {
		most = max(most, int(w.Goroutines))
	}
	return most
}
