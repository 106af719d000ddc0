package systemd

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"perilune/internal/freeport"
	"perilune/ipc/shm"
)

// withPeers runs a test with a peer on a path and on an abstract address.
func withPeers(t *testing.T, f func(t *testing.T, s *site, p *peer)) {
	t.Run("path", func(t *testing.T) {
		s := newSite(t)
		f(t, s, newPeer(t, s, s.path("notify")))
	})
	t.Run("abstract", func(t *testing.T) {
		s := newSite(t)
		f(t, s, newPeer(t, s, fmt.Sprintf("@perilune-test-%d", os.Getpid())))
	})
}

func TestLife(t *testing.T) {
	withPeers(t, func(t *testing.T, s *site, p *peer) {
		addr := freeAddrs(t, 1)[0]
		// The second worker waits for somebody to write to the pipe.
		gate := s.path("gate")
		if err := unix.Mkfifo(gate, 0o666); err != nil {
			t.Fatal(err)
		}
		s.confWith("one", `init_worker_by_lua_block { if ngx.worker.id() == 1 then io.open("`+gate+`"):read() end }`, addr)
		p.start()
		p.await("activating", "starting generation 1, 1 of 2 workers ready")
		if err := os.WriteFile(gate, []byte("\n"), 0); err != nil {
			t.Fatal(err)
		}
		p.await("active", "generation 1, 2 workers")
		wantBody(t, addr, "one")

		before := monotonic(t)
		s.conf("two", addr)
		p.signal(syscall.SIGHUP)
		p.await("active", "generation 2, 2 workers")
		p.wantReload(before)
		until(t, "the old workers are gone", func() bool { return p.statusText() == "generation 2, 2 workers" })
		wantBody(t, addr, "two")

		before = monotonic(t)
		s.write("conf/nginx.conf", "broken")
		p.signal(syscall.SIGHUP)
		p.await("active", "generation 2, 2 workers; the last reload failed")
		p.wantReload(before)
		s.confWith("three", `init_worker_by_lua_block { os.exit(1) }`, addr)
		p.signal(syscall.SIGHUP)
		until(t, "the second failure", func() bool { return p.count("RELOADING=1") == 3 && p.count("READY=1") == 4 })
		wantBody(t, addr, "two")

		end := slow(t, addr)
		p.signal(syscall.SIGQUIT)
		p.await("deactivating", "stopping, ")
		if text, err := end(); text != "end" {
			t.Errorf("the request of the end: %q, %v", text, err)
		}
		if ws := p.ended(); ws.ExitStatus() != 0 || !ws.Exited() {
			t.Errorf("it ended with %v", ws)
		}
		if p.count("STOPPING=1") != 1 {
			t.Errorf("%d announcements of the end", p.count("STOPPING=1"))
		}
		if len(p.refused) > 0 {
			t.Errorf("messages of other processes: %q", p.refused)
		}
	})
}

func monotonic(t *testing.T) int64 {
	t.Helper()
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		t.Fatal(err)
	}
	return ts.Nano() / 1000
}

// wantReload checks the last announcement of a reload against the time before which it was asked for.
func (p *peer) wantReload(before int64) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	re := regexp.MustCompile(`^RELOADING=1\nMONOTONIC_USEC=(\d+)\n`)
	for _, m := range slices.Backward(p.messages) {
		if match := re.FindStringSubmatch(m); match != nil {
			if at, _ := strconv.ParseInt(match[1], 10, 64); at < before || at > monotonic(p.t) {
				p.t.Errorf("the reload began at %d, it was asked for at %d", at, before)
			}
			return
		}
	}
	p.t.Error("no reload was announced")
}

func TestWorkersKnowNoManager(t *testing.T) {
	s := newSite(t)
	p := newPeer(t, s, s.path("notify"))
	p.watchdog = time.Minute
	addr := freeAddrs(t, 1)[0]
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p.unit("x.socket", l.(*net.TCPListener))
	s.conf("one", addr)
	p.up()
	// The sockets of the units, and no more, are in the store.
	if want := []string{"listen=" + strings.ReplaceAll(addr, ":", "%3A")}; !slices.Equal(p.names(), want) {
		t.Errorf("stored: %q", p.names())
	}
	list := workers(p.main())
	if len(list) != 2 {
		t.Fatalf("%d workers", len(list))
	}
	for _, w := range list {
		env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", w))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG", "LISTEN_", "FDSTORE"} {
			if strings.Contains(string(env), name) {
				t.Errorf("a worker has %s: %q", name, env)
			}
		}
	}
}

// workers are the children of a process.
func workers(pid int) []int {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	var list []int
	for _, f := range files {
		b, _ := os.ReadFile(f)
		for _, w := range strings.Fields(string(b)) {
			n, _ := strconv.Atoi(w)
			list = append(list, n)
		}
	}
	return list
}

func TestWatchdog(t *testing.T) {
	for _, foreign := range []bool{false, true} {
		s := newSite(t)
		p := newPeer(t, s, s.path("notify"))
		p.watchdog, p.foreign = 100*time.Millisecond, foreign
		addr := freeAddrs(t, 1)[0]
		s.conf("one", addr)
		p.up()
		signs := func() int {
			p.mu.Lock()
			defer p.mu.Unlock()
			return p.alive
		}
		if foreign {
			// The first sign would have come before READY.
			if n := signs(); n > 0 {
				t.Errorf("%d signs of life for a watchdog that waits for another process", n)
			}
			continue
		}
		until(t, "five signs of life have come", func() bool { return signs() >= 5 })
	}
}

// TestMasterDies kills the master under load, with all kinds of sockets. systemd either kills what is left of the service at once
// (KillMode=mixed) or leaves it alone (process).
func TestMasterDies(t *testing.T) {
	for _, mixed := range []bool{true, false} {
		t.Run(fmt.Sprintf("mixed=%v", mixed), func(t *testing.T) {
			s := newSite(t)
			p := newPeer(t, s, s.path("notify"))
			a := freeAddrs(t, 3)
			other, ok := freeport.Addr6(t)
			if !ok {
				other = a[2]
			}
			file, abstract := "unix:"+s.path("http.sock"), fmt.Sprintf("unix:@perilune-http-%d", os.Getpid())
			addrs := []string{a[0], a[1], other, file, abstract}
			s.conf("one", a[0], a[1]+" reuseport", other, file, abstract)
			p.up()
			if n := len(p.names()); n != 6 {
				t.Errorf("%d sockets in the store: %q", n, p.names())
			}
			l := startLoad(addrs...)
			for range 2 {
				l.more(t, 50)
				end := slow(t, a[0])
				p.signal(syscall.SIGKILL)
				p.ended()
				if mixed {
					p.killAll()
				}
				p.up()
				if text, err := end(); !mixed && text != "end" {
					t.Errorf("the request of a worker that lost its master: %q, %v", text, err)
				}
				if p.count("READY=1") != 1 || len(p.names()) != 6 {
					t.Errorf("after the start: %q, %q", p.messages, p.names())
				}
				l.more(t, 50)
			}
			broken := 0
			if mixed {
				// One request a client and death is under way at most.
				broken = 2 * len(addrs)
			}
			l.end(t, broken)
			for _, text := range []string{"[emerg]", "closed"} {
				if strings.Contains(s.read("logs/error.log"), text) {
					t.Errorf("%s in the log", text)
				}
			}
		})
	}
}

// TestStoreFollowsConfiguration: what a reload or a new start does not listen on any more must not wait in the store.
func TestStoreFollowsConfiguration(t *testing.T) {
	s := newSite(t)
	p := newPeer(t, s, s.path("notify"))
	a := freeAddrs(t, 3)
	file := s.path("http.sock")
	name := func(addr string) string { return "listen=" + strings.ReplaceAll(addr, ":", "%3A") }
	want := func(when string, addrs ...string) {
		t.Helper()
		var names []string
		for _, a := range addrs {
			names = append(names, name(a))
		}
		slices.Sort(names)
		until(t, when+": "+strings.Join(names, " "), func() bool { return slices.Equal(p.names(), names) })
	}
	s.conf("one", a[0], a[1], "unix:"+file)
	p.up()
	want("start", a[0], a[1], "unix:"+file)
	s.conf("two", a[0], a[2], "unix:"+file)
	p.signal(syscall.SIGHUP)
	p.await("active", "generation 2")
	want("reload", a[0], a[2], "unix:"+file)

	s.write("conf/nginx.conf", "broken")
	p.signal(syscall.SIGHUP)
	p.await("active", "failed")
	want("failed reload", a[0], a[2], "unix:"+file)

	// A restart by the administrator: the sockets stay, with the file.
	s.conf("three", a[2], a[1], "unix:"+file)
	p.signal(syscall.SIGQUIT)
	p.ended()
	want("end", a[0], a[2], "unix:"+file)
	p.up()
	want("restart", a[1], a[2], "unix:"+file)
	for _, addr := range []string{a[1], a[2], "unix:" + file} {
		wantBody(t, addr, "three")
	}
	if _, err := net.Dial("tcp", a[0]); err == nil {
		t.Error("an address that is gone from the configuration is still open")
	}
	if text := "no \"listen\" has the address " + a[0]; !strings.Contains(s.read("logs/error.log")+s.read("logs/stderr"), text) {
		t.Errorf("%q is not in the log", text)
	}

	// A socket whose file somebody has removed is made anew.
	p.signal(syscall.SIGQUIT)
	p.ended()
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	p.up()
	want("removed file", a[1], a[2], "unix:"+file)
	wantBody(t, "unix:"+file, "three")
}

func TestActivation(t *testing.T) {
	s := newSite(t)
	p := newPeer(t, s, s.path("notify"))
	listen := func(network, addr string) net.Listener {
		l, err := net.Listen(network, addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l
	}
	second := "127.0.0.1:0"
	if _, ok := freeport.Addr6(t); ok {
		second = "[::1]:0"
	}
	v4, v6, extra := listen("tcp", "127.0.0.1:0"), listen("tcp", second), listen("tcp", "127.0.0.1:0")
	file := s.path("http.sock")
	local := listen("unix", file)
	p.unit("perilune.socket", v4.(*net.TCPListener))
	p.unit("perilune.socket", extra.(*net.TCPListener))
	p.unit("perilune.socket", local.(*net.UnixListener))
	p.unit("perilune.socket", v6.(*net.TCPListener))
	udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	p.unit("udp", udp)
	own := freeAddrs(t, 1)[0]
	addrs := []string{v4.Addr().String(), v6.Addr().String(), "unix:" + file, own}
	s.conf("one", addrs...)

	// What comes before the start waits.
	early := make(chan string)
	go func() {
		body, _ := get(addrs[0], "/")
		early <- body
	}()
	p.up()
	if body := <-early; body != "one" {
		t.Errorf("the first request got %q", body)
	}
	log := s.read("logs/error.log") + s.read("logs/stderr")
	for _, text := range []string{
		"no \"listen\" has the address " + extra.Addr().String() + " of the socket that the service manager passed as \"perilune.socket\", closed",
		"that the service manager passed as \"udp\" is ignored (not a stream socket that listens)",
	} {
		if !strings.Contains(log, text) {
			t.Errorf("%q is not in the log:\n%s", text, log)
		}
	}
	for range 2 {
		for _, a := range addrs {
			wantBody(t, a, "one")
		}
		if n := len(p.names()); n != 4 {
			t.Errorf("stored: %q", p.names())
		}
		// The same again, with the sockets of the units also in the store.
		p.signal(syscall.SIGQUIT)
		if ws := p.ended(); ws.ExitStatus() != 0 {
			t.Errorf("it ended with %v", ws)
		}
		if _, err := os.Stat(file); err != nil {
			t.Errorf("the file of a unit's socket: %v", err)
		}
		p.up()
	}
}

// TestForeignActivation: sockets that are meant for another process are not touched.
func TestForeignActivation(t *testing.T) {
	s := newSite(t)
	p := newPeer(t, s, s.path("notify"))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.unit("x.socket", l.(*net.TCPListener))
	p.foreign = true
	s.conf("one", l.Addr().String())
	p.start()
	if ws := p.ended(); ws.ExitStatus() != 1 {
		t.Errorf("it ended with %v", ws)
	}
	l.Close()
	if text := "bind() to " + l.Addr().String() + " failed (98: Address already in use)"; !strings.Contains(s.read("logs/stderr"), text) {
		t.Errorf("%q is not on standard error", text)
	}
}

// TestUpgrade upgrades again and again: the main process is the right one each time, and nobody else is heard.
func TestUpgrade(t *testing.T) {
	s := newSite(t)
	p := newPeer(t, s, s.path("notify"))
	p.watchdog = time.Hour
	a := freeAddrs(t, 2)
	s.conf("0", a[0])
	p.up()
	l := startLoad(a[0])
	for i := range 5 {
		old := p.main()
		body := strconv.Itoa(i + 1)
		// Another address each time: the next master must give up what the one before it has stored.
		listen := []string{a[0]}
		if i%2 == 0 {
			listen = append(listen, a[1])
		}
		s.conf(body, listen...)
		p.signal(syscall.SIGUSR2)
		until(t, "another process is the main one", func() bool { return p.main() != old })
		p.await("active", fmt.Sprintf("generation %d, 2 workers", i+2))
		until(t, "the store is that of the next master", func() bool { return len(p.names()) == len(listen) })
		if pid := strings.TrimSpace(s.read("logs/nginx.pid")); pid != strconv.Itoa(p.main()) {
			t.Errorf("MAINPID is %d, the pid file says %s", p.main(), pid)
		}
		if _, err := syscall.Wait4(old, nil, 0, nil); err != nil {
			t.Errorf("wait4(%d): %v", old, err)
		}
		wantBody(t, a[0], body)
	}
	// Both masters show a sign of life when the main process changes: the watchdog has gone on.
	until(t, "eleven signs of life have come", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.alive == 11
	})
	l.end(t, 0)
	p.signal(syscall.SIGQUIT)
	p.ended()
	if len(p.refused) > 0 {
		t.Errorf("messages of other processes: %q", p.refused)
	}
	if p.count("STOPPING=1") != 1 {
		t.Errorf("the end was announced %d times", p.count("STOPPING=1"))
	}
}

// TestSingle: a process without workers says the same.
func TestSingle(t *testing.T) {
	s := newSite(t)
	s.main += " master_process off;"
	p := newPeer(t, s, s.path("notify"))
	p.watchdog = 100 * time.Millisecond
	addr := freeAddrs(t, 1)[0]
	s.conf("one", addr)
	p.up()
	s.conf("two", addr)
	before := monotonic(t)
	p.signal(syscall.SIGHUP)
	p.await("active", "generation 2")
	p.wantReload(before)
	wantBody(t, addr, "two")
	s.write("conf/nginx.conf", "broken")
	p.signal(syscall.SIGHUP)
	p.await("active", "the last reload failed")
	until(t, "signs of life have come", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.alive > 2
	})
	p.signal(syscall.SIGQUIT)
	p.await("deactivating", "stopping")
	if ws := p.ended(); ws.ExitStatus() != 0 {
		t.Errorf("it ended with %v", ws)
	}
}

// TestZonesSurviveTheMaster: shared dictionaries wait in the store with the sockets.
func TestZonesSurviveTheMaster(t *testing.T) {
	s := newSite(t)
	p := newPeer(t, s, s.path("notify"))
	a := freeAddrs(t, 1)[0]
	count := func(size string) string {
		return "    lua_shared_dict hits " + size + `;
    server {
        listen ` + a + `;
        location = /count { content_by_lua_block { ngx.print((ngx.shared.hits:incr("n", 1, 0))) } }
    }
`
	}
	want := func(n string) {
		t.Helper()
		if got, err := get(a, "/count"); got != n || err != nil {
			t.Errorf("the count is %q, %v; want %s", got, err, n)
		}
	}
	other := freeAddrs(t, 1)[0]
	s.confWith("one", count("1m"), other)
	p.up()
	if names := p.zones(); !slices.Contains(names, "zone=http_lua=hits") {
		t.Fatalf("the store has %q", names)
	}
	want("1")
	p.signal(syscall.SIGKILL)
	p.ended()
	p.up()
	want("2")

	// Another size is another memory: the store has that one.
	s.confWith("two", count("2m"), other)
	p.signal(syscall.SIGHUP)
	until(t, "the old workers, which count in the old memory, are gone", func() bool { return p.statusText() == "generation 2, 2 workers" })
	want("3")
	p.signal(syscall.SIGKILL)
	p.ended()
	p.up()
	want("4")

	// The next master of an upgrade stores what it has.
	before := p.main()
	p.signal(syscall.SIGUSR2)
	until(t, "another master is the main process", func() bool { return p.main() != before })
	p.await("active", "generation 2")
	want("5")
	until(t, "the zone is stored again", func() bool { return slices.Contains(p.zones(), "zone=http_lua=hits") })
	p.signal(syscall.SIGKILL)
	p.ended()
	p.up()
	want("6")

	s.conf("three", other)
	p.signal(syscall.SIGHUP)
	p.await("active", "generation 2")
	until(t, "the zone is given up", func() bool { return !slices.Contains(p.zones(), "zone=http_lua=hits") })
}

// TestStoredZonesOfAnotherLayout: the program that finds zones in the store need not be the one that has left them there.
func TestStoredZonesOfAnotherLayout(t *testing.T) {
	own := binary
	defer func() { binary = own }()
	dir := t.TempDir()
	layout := func(version string) string {
		if version == fmt.Sprint(shm.LayoutVersion) {
			return own
		}
		path := filepath.Join(dir, "perilune-"+version)
		cmd := exec.Command("go", "build", "-ldflags", "-X perilune/ipc/shm.layoutText="+version, "-o", path, "perilune")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go build: %v\n%s", err, out)
		}
		return path
	}
	s := newSite(t)
	p := newPeer(t, s, s.path("notify"))
	a := freeAddrs(t, 1)[0]
	s.confWith("one", `    lua_shared_dict hits 1m;
    server {
        listen `+a+`;
        location = /count { content_by_lua_block { ngx.print((ngx.shared.hits:incr("n", 1, 0))) } }
    }
`, freeAddrs(t, 1)[0])
	for _, step := range []struct{ layout, count, log string }{
		{"1", "1", ""},
		{"2", "2", `zone "hits" is converted from layout version 1 to 2: 1 entries copied, 0 do not fit`},
		{"3", "3", `zone "hits" is converted from layout version 2 to 3: 1 entries copied, 0 do not fit`},
		{"2", "1", `"zone=http_lua=hits" is not used (the zone has another layout version: 3, not 2)`},
	} {
		binary = layout(step.layout)
		p.up()
		if got, err := get(a, "/count"); got != step.count || err != nil {
			t.Errorf("layout %s: the count is %q, %v; want %s", step.layout, got, err, step.count)
		}
		if log := s.read("logs/error.log"); !strings.Contains(log, step.log) {
			t.Errorf("the log does not say %s:\n%s", step.log, log)
		}
		p.signal(syscall.SIGKILL)
		p.ended()
	}
}
