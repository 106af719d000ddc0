package master

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestStoredName(t *testing.T) {
	long := "unix:/" + strings.Repeat("ü", 53)
	for addr, want := range map[string]string{
		"0.0.0.0:80":         "listen=0.0.0.0%3A80",
		"[::1%lo]:80":        "listen=[%3A%3A1%25lo]%3A80",
		"unix:/run/a b.sock": "listen=unix%3A/run/a%20b.sock",
		"unix:@abstract":     "listen=unix%3A@abstract",
	} {
		if got := storedName("", addr); got != want {
			t.Errorf("%s: %s", addr, got)
		}
	}
	name, other := storedName("unix", long), storedName("unix", long+"x")
	if len(name) > maxFDName || name == other {
		t.Errorf("%q, %q", name, other)
	}
}

func TestWithoutManager(t *testing.T) {
	t.Setenv(envJournal, "1:2")
	got := withoutManager([]string{"TZ=x", "NOTIFY_SOCKET=/a", "NOTIFY_SOCKETS=b", "LISTEN_FDS=1", "JOURNAL_STREAM=3:4"})
	if want := []string{"TZ=x", "NOTIFY_SOCKETS=b", "JOURNAL_STREAM=1:2"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	os.Unsetenv(envJournal)
	if got := withoutManager([]string{"WATCHDOG_USEC=1"}); len(got) > 0 {
		t.Errorf("%q", got)
	}
}

func TestView(t *testing.T) {
	for _, c := range []struct {
		v      view
		first  bool
		phase  phase
		status string
	}{
		{view{}, true, beginning, "starting generation 0, 0 of 0 workers ready"},
		{view{cur: part{1, 1, 2}}, true, beginning, "starting generation 1, 1 of 2 workers ready"},
		{view{cur: part{1, 2, 2}}, true, serving, "generation 1, 2 workers"},
		{view{cur: part{1, 0, 1}}, false, serving, "generation 1, 0 of 1 worker ready"},
		{view{cur: part{1, 1, 2}, next: part{2, 0, 2}}, true, beginning, "starting generation 1, 1 of 2 workers ready"},
		{view{cur: part{1, 2, 2}, next: part{2, 1, 4}}, false, reloading, "generation 1, 2 workers, starting generation 2, 1 of 4 workers ready"},
		{view{cur: part{2, 4, 4}, leaving: 1}, false, serving, "generation 2, 4 workers, 1 worker finishing"},
		{view{cur: part{2, 4, 4}, leaving: 3, ending: true}, false, ending, "stopping, 3 workers left"},
	} {
		p := c.v.phase(c.first)
		if p != c.phase || c.v.status(p) != c.status {
			t.Errorf("%+v: phase %d, %q", c.v, p, c.v.status(p))
		}
	}
}

func TestAddressKey(t *testing.T) {
	for _, c := range []struct{ network, addr, key string }{
		{"tcp", "0.0.0.0:80", "tcp:0.0.0.0:80"},
		{"tcp", "[::]:80", "tcp:[::]:80"},
		{"tcp", "[::1%1]:80", "tcp:[::1%1]:80"},
		{"unix", "unix:/a", "unix:/a"},
		{"unix", "unix:@a", "unix:@a"},
	} {
		sa, _, err := sockaddr(c.network, c.addr)
		if err != nil || addressKey(sa) != c.key {
			t.Errorf("%s: %q, %v", c.addr, addressKey(sa), err)
		}
	}
	if key := addressKey(&unix.SockaddrUnix{}); key != "" {
		t.Errorf("an unnamed socket: %q", key)
	}
}

// TestHungManager: a service manager that does not read holds up the master for a moment only.
func TestHungManager(t *testing.T) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	addr := t.TempDir() + "/notify"
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: addr}); err != nil {
		t.Fatal(err)
	}
	log, text := testLog(t)
	s := &systemd{addr: addr, limit: time.Millisecond, log: log}
	for !s.failed.Load() {
		s.send("STATUS=x")
	}
	s.send("STATUS=y")
	if n := strings.Count(text(), "sendmsg() to "+addr+" failed (11: Resource temporarily unavailable)"); n != 1 {
		t.Errorf("%d messages in the log:\n%s", n, text())
	}
}
