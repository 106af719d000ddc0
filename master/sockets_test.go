package master

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"perilune/conf"
	"perilune/internal/freeport"
	"perilune/logging"
)

// testLog is a log whose text can be read.
func testLog(t *testing.T) (*logging.Log, func() string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "log")
	f, err := logging.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f.SetSync()
	t.Cleanup(func() { f.Close() })
	l := logging.New()
	l.Add(f, logging.Info, logging.Text)
	return l, func() string {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
}

func listening(network, addr string) *conf.Listening {
	return &conf.Listening{Network: network, Addr: addr, Backlog: 511, RcvBuf: -1, SndBuf: -1, FastOpen: -1}
}

func open(t *testing.T, list []*conf.Listening, workers int, old *socketSet) *socketSet {
	t.Helper()
	log, text := testLog(t)
	set, err := openSockets(list, workers, old, nil, log, func(time.Duration) {})
	if err != nil {
		t.Fatalf("%v\n%s", err, text())
	}
	set.configure(list, log)
	t.Cleanup(func() { set.drop(log) })
	return set
}

func dial(t *testing.T, network, addr string) {
	t.Helper()
	c, err := net.Dial(network, addr)
	if err != nil {
		t.Error(err)
		return
	}
	c.Close()
}

func TestOpenSockets(t *testing.T) {
	addrs := []string{freeport.Addr(t)}
	if addr, ok := freeport.Addr6(t); ok {
		addrs = append(addrs, addr)
	}
	for _, addr := range addrs {
		ls := listening("tcp", addr)
		ls.IPv6Only = true
		set := open(t, []*conf.Listening{ls}, 4, nil)
		dial(t, "tcp", ls.Addr)
		if fds := set.list[0].fds; len(fds) != 1 {
			t.Errorf("%d descriptors", len(fds))
		} else if flags, _ := unix.FcntlInt(uintptr(fds[0]), unix.F_GETFD, 0); flags&unix.FD_CLOEXEC == 0 {
			t.Error("the socket is inherited by every child")
		}
	}
}

func TestSocketsAreTakenOver(t *testing.T) {
	a, b, c := listening("tcp", freeport.Addr(t)), listening("tcp", freeport.Addr(t)), listening("tcp", freeport.Addr(t))
	log, _ := testLog(t)
	first := open(t, []*conf.Listening{a, b}, 1, nil)
	fdA := first.list[0].fds[0]
	second := open(t, []*conf.Listening{c, a}, 1, first)
	if second.list[1].fds[0] != fdA {
		t.Error("an address that stays got a new socket")
	}
	dial(t, "tcp", b.Addr)
	first.drop(log)
	dial(t, "tcp", a.Addr)
	dial(t, "tcp", c.Addr)
	if conn, err := net.Dial("tcp", b.Addr); err == nil {
		conn.Close()
		t.Error("an address that is gone is still open")
	}
}

func TestAbandonedSetLeavesTheOldOne(t *testing.T) {
	a, b := listening("tcp", freeport.Addr(t)), listening("tcp", freeport.Addr(t))
	a.Reuseport = true
	log, _ := testLog(t)
	first := open(t, []*conf.Listening{a}, 2, nil)
	second := open(t, []*conf.Listening{a, b}, 4, first)
	if n := len(first.list[0].fds); n != 4 {
		t.Fatalf("%d sockets for 4 workers", n)
	}
	second.abandon(log)
	if n := len(first.list[0].fds); n != 2 {
		t.Errorf("%d sockets are left, 2 were there", n)
	}
	dial(t, "tcp", a.Addr)
	if conn, err := net.Dial("tcp", b.Addr); err == nil {
		conn.Close()
		t.Error("a socket of the abandoned set is still open")
	}
}

func TestReuseportSlots(t *testing.T) {
	a := listening("tcp", freeport.Addr(t))
	a.Reuseport = true
	first := open(t, []*conf.Listening{a}, 5, nil)
	second := open(t, []*conf.Listening{a}, 2, first)
	k := second.list[0]
	if len(k.fds) != 5 {
		t.Fatalf("%d sockets: those of workers that are gone may hold connections", len(k.fds))
	}
	if own := ownSlots(k, 0, 2); len(own) != 3 || own[0] != 0 || own[1] != 2 || own[2] != 4 {
		t.Errorf("worker 0 of 2 accepts from %v", own)
	}
	if own := ownSlots(k, 1, 2); len(own) != 2 || own[0] != 1 || own[1] != 3 {
		t.Errorf("worker 1 of 2 accepts from %v", own)
	}
}

func TestPlainSocketBecomesReuseport(t *testing.T) {
	a := listening("tcp", freeport.Addr(t))
	first := open(t, []*conf.Listening{a}, 1, nil)
	b := *a
	b.Reuseport = true
	if second := open(t, []*conf.Listening{&b}, 3, first); len(second.list[0].fds) != 3 {
		t.Errorf("%d sockets", len(second.list[0].fds))
	}
}

func TestAddressBecomesWildcardAndBack(t *testing.T) {
	a := listening("tcp", freeport.Addr(t))
	_, port, _ := net.SplitHostPort(a.Addr)
	all := listening("tcp", "0.0.0.0:"+port)
	log, _ := testLog(t)
	first := open(t, []*conf.Listening{a}, 1, nil)
	second := open(t, []*conf.Listening{all}, 1, first)
	first.drop(log)
	dial(t, "tcp", a.Addr)
	third := open(t, []*conf.Listening{a}, 1, second)
	second.drop(log)
	dial(t, "tcp", a.Addr)
	_ = third
}

func TestAddressInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	list := []*conf.Listening{listening("tcp", l.Addr().String()), listening("tcp", freeport.Addr(t))}
	log, text := testLog(t)
	naps := 0
	_, err = openSockets(list, 1, nil, nil, log, func(d time.Duration) {
		naps++
		if d != 500*time.Millisecond {
			t.Errorf("waits %v", d)
		}
	})
	if err == nil {
		t.Fatal("no error")
	}
	got := text()
	want := "[emerg] " // followed by pid and text
	if n := strings.Count(got, "bind() to "+l.Addr().String()+" failed (98: Address already in use)"); n != 5 || naps != 4 {
		t.Errorf("%d tries, %d waits:\n%s", n, naps, got)
	}
	if strings.Count(got, "try again to bind() after 500ms") != 5 || !strings.Contains(got, "still could not bind()") || !strings.Contains(got, want) {
		t.Error(got)
	}
	if conn, err := net.Dial("tcp", list[1].Addr); err == nil {
		conn.Close()
		t.Error("the other socket is left open")
	}
}

func TestAddressIsFreedWhileTrying(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	log, _ := testLog(t)
	set, err := openSockets([]*conf.Listening{listening("tcp", l.Addr().String())}, 1, nil, nil, log, func(time.Duration) { l.Close() })
	if err != nil {
		t.Fatal(err)
	}
	set.drop(log)
}

func TestTestSockets(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	path := filepath.Join(t.TempDir(), "s")
	log, text := testLog(t)
	if err := testSockets([]*conf.Listening{listening("tcp", l.Addr().String()), listening("unix", "unix:"+path)}, log); err != nil {
		t.Errorf("a taken address fails the test: %v", err)
	}
	if _, err := os.Lstat(path); err == nil {
		t.Error("the unix socket is left behind")
	}
	err = testSockets([]*conf.Listening{listening("tcp", "203.0.113.1:1")}, log)
	if err == nil || !strings.Contains(text(), "bind() to 203.0.113.1:1 failed (99: Cannot assign requested address)") {
		t.Errorf("%v\n%s", err, text())
	}
}

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ls := listening("unix", "unix:"+path)
	log, text := testLog(t)
	set := open(t, []*conf.Listening{ls}, 1, nil)
	dial(t, "unix", path)
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o666 {
		t.Errorf("%v, %v", st, err)
	}
	// Somebody listens there.
	if _, err := openSockets([]*conf.Listening{ls}, 1, nil, nil, log, func(time.Duration) {}); err == nil {
		t.Fatal("a live socket was taken away")
	}
	dial(t, "unix", path)
	// The process was killed and left its file.
	closeFDs(set.list[0].fds)
	set.list[0].fds = nil
	again, err := openSockets([]*conf.Listening{ls}, 1, nil, nil, log, func(time.Duration) {})
	if err != nil || !strings.Contains(text(), "removed the socket "+path+" that nobody listens on") {
		t.Fatalf("%v\n%s", err, text())
	}
	dial(t, "unix", path)
	again.drop(log)
	if _, err := os.Lstat(path); err == nil {
		t.Error("the file is still there after the end")
	}
	// A file that is no socket is nobody's to remove.
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openSockets([]*conf.Listening{ls}, 1, nil, nil, log, func(time.Duration) {}); err == nil {
		t.Error("a plain file was replaced")
	}
}

func TestBacklogChanges(t *testing.T) {
	a := listening("tcp", freeport.Addr(t))
	first := open(t, []*conf.Listening{a}, 1, nil)
	b := *a
	b.Backlog = 7
	b.RcvBuf = 64 << 10
	b.SoKeepalive, b.KeepIdle = conf.KeepaliveOn, 30*time.Second
	b.Deferred = true
	second := open(t, []*conf.Listening{&b}, 1, first)
	fd := second.list[0].fds[0]
	for name, c := range map[string]struct{ level, opt, want int }{
		"SO_RCVBUF":        {unix.SOL_SOCKET, unix.SO_RCVBUF, 128 << 10}, // the kernel doubles it
		"SO_KEEPALIVE":     {unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		"TCP_KEEPIDLE":     {unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 30},
		"TCP_DEFER_ACCEPT": {unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 1},
	} {
		if got, err := unix.GetsockoptInt(fd, c.level, c.opt); err != nil || got != c.want {
			t.Errorf("%s is %d (%v), want %d", name, got, err, c.want)
		}
	}
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil || info.Sacked != 7 { // of a listening socket: the backlog
		t.Errorf("backlog %d (%v)", info.Sacked, err)
	}
}
