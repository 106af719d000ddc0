package systemd

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// host is a systemd in namespaces of its own.
type host struct {
	t   *testing.T
	pid string
}

// unitFiles are the units as they are shipped.
var unitFiles = []string{"perilune.service", "perilune@.service", "perilune.socket"}

// boot starts a systemd that sees the site's directory as /run/site; the test is skipped where that is not possible.
func boot(t *testing.T, s *site, files map[string]string) *host {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can start a systemd in namespaces; the peer of the other tests stands for it")
	}
	for _, tool := range []string{"/lib/systemd/systemd", "unshare", "nsenter", "systemctl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no systemd can be started here (%v); the peer of the other tests stands for it", err)
		}
	}
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(s.path(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		s.write(name, text)
		if strings.HasPrefix(name, "sbin/") {
			if err := os.Chmod(s.path(name), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, u := range unitFiles {
		b, err := os.ReadFile(u)
		if err != nil {
			t.Fatal(err)
		}
		s.write("units/"+u, string(b))
	}
	cgroup := newCgroup(t)
	out, err := os.Create(s.path("systemd.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command("sh", "systemd-in-namespaces.sh", cgroup, s.dir)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Skipf("no systemd can be started here (%v); the peer of the other tests stands for it", err)
	}
	h := &host{t: t}
	t.Cleanup(func() {
		if t.Failed() {
			journal, _ := h.run("journalctl", "--no-pager", "-o", "short-monotonic", "-n", "120")
			t.Logf("systemd says:\n%s\nits journal:\n%s", s.read("systemd.log"), journal)
		}
		if pid, err := strconv.Atoi(h.pid); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		removeCgroup(t, cgroup)
	})
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if list := workers(cmd.Process.Pid); len(list) == 1 {
			h.pid = strconv.Itoa(list[0])
		}
		if h.pid != "" {
			if state, _ := h.run("systemctl", "is-system-running"); state == "running" || state == "degraded" {
				return h
			}
		}
		if time.Now().After(end) || syscall.Kill(cmd.Process.Pid, 0) != nil {
			t.Skipf("no systemd can be started here; the peer of the other tests stands for it\n%s", s.read("systemd.log"))
		}
	}
}

// newCgroup names a cgroup that does not exist yet.
func newCgroup(t *testing.T) string {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); f[2] == "cgroup2" {
			return filepath.Join(f[1], fmt.Sprintf("perilune-test-%d", os.Getpid()))
		}
	}
	t.Skip("no systemd can be started without cgroup2; the peer of the other tests stands for it")
	return ""
}

// removeCgroup removes a cgroup and those in it. The kernel needs a moment after the last process is gone.
func removeCgroup(t *testing.T, dir string) {
	t.Helper()
	until(t, dir+" can be removed", func() bool {
		var list []string
		_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				list = append(list, path)
			}
			return nil
		})
		for i := len(list) - 1; i >= 0; i-- {
			if os.Remove(list[i]) != nil {
				return false
			}
		}
		return true
	})
}

// run runs a program where that systemd lives.
func (h *host) run(args ...string) (string, error) {
	cmd := exec.Command("nsenter", append([]string{"-t", h.pid, "-m", "-p", "-C", "-u", "-i"}, args...)...)
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (h *host) must(args ...string) string {
	h.t.Helper()
	out, err := h.run(args...)
	if err != nil {
		status, _ := h.run("systemctl", "status", "--no-pager", "-l", "perilune.service")
		h.t.Fatalf("%v: %v\n%s\n%s", args, err, out, status)
	}
	return out
}

func (h *host) show(unit, property string) string {
	h.t.Helper()
	return h.must("systemctl", "show", "--value", "-p", property, unit)
}

func (h *host) want(unit, property, value string) {
	h.t.Helper()
	if got := h.show(unit, property); got != value {
		h.t.Errorf("%s of %s is %q, not %q", property, unit, got, value)
	}
}

// await waits for the value of a property.
func (h *host) await(unit, property, value string) {
	h.t.Helper()
	got := ""
	defer func() {
		if got != value {
			h.t.Logf("%s of %s is %q", property, unit, got)
		}
	}()
	until(h.t, property+" is "+value, func() bool {
		got = h.show(unit, property)
		return got == value
	})
}

// mainPID is the main process and checks that the pid file agrees.
func (h *host) mainPID() string {
	h.t.Helper()
	pid := h.show("perilune.service", "MainPID")
	if file := h.must("cat", "/run/perilune/perilune.pid"); file != pid {
		h.t.Errorf("MainPID is %s, the pid file says %s", pid, file)
	}
	return pid
}

// unix is the address by which the test reaches a socket of the service.
func (h *host) unix(path string) string { return "unix:/proc/" + h.pid + "/root" + path }

func TestSystemd(t *testing.T) {
	s := newSite(t)
	addrs := freeAddrs(t, 4)
	const sock = "/run/perilune/http.sock"
	s.main = "error_log stderr info;\npid /run/perilune/perilune.pid;\nuser nobody nogroup;"
	listen := []string{addrs[0], addrs[1] + " reuseport", "unix:" + sock}
	s.main = strings.ReplaceAll(s.main, "/run/perilune", "/run/perilune-a")
	s.confFile("conf/a.conf", "instance", "", addrs[3])
	s.main = strings.ReplaceAll(s.main, "/run/perilune-a", "/run/perilune")
	s.conf("one", listen...)
	bin, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	h := boot(t, s, map[string]string{
		"sbin/perilune":                       string(bin),
		"etc/perilune/nginx.conf":             "include /run/site/conf/nginx.conf;\n",
		"etc/perilune/a.conf":                 "include /run/site/conf/a.conf;\n",
		"units/perilune.service.d/test.conf":  "[Unit]\nStartLimitIntervalSec=0\n[Service]\nWatchdogSec=6\n",
		"units/perilune@.service.d/test.conf": "[Unit]\nStartLimitIntervalSec=0\n[Service]\nTimeoutStopSec=2\n",
		"units/perilune.socket.d/test.conf":   "[Socket]\nListenStream=\nListenStream=" + addrs[2] + "\n",
	})
	clients := []string{addrs[0], addrs[1], h.unix(sock)}
	const unit = "perilune.service"
	t.Log(h.must("systemctl", "--version"))

	step := func(name string, f func()) {
		t.Helper()
		begin := time.Now()
		f()
		t.Logf("%s: %v", name, time.Since(begin).Round(time.Millisecond))
		if t.Failed() {
			t.FailNow()
		}
	}
	step("start", func() {
		h.must("systemctl", "start", unit)
		h.want(unit, "ActiveState", "active")
		h.want(unit, "StatusText", "generation 1, 2 workers")
		h.want(unit, "NFileDescriptorStore", "5")
		h.mainPID()
		for _, a := range clients {
			wantBody(t, a, "one")
		}
		entry := h.must("journalctl", "-o", "cat", "--output-fields=MESSAGE", "-p", "5..5", "_SYSTEMD_UNIT="+unit, "--grep", "start worker process ")
		if !strings.Contains(entry, "[notice]") || strings.Contains(entry, "<5>") {
			t.Errorf("the journal has: %s", entry)
		}
	})
	step("reload", func() {
		l := startLoad(clients...)
		s.conf("two", listen...)
		h.must("systemctl", "reload", unit)
		h.await(unit, "StatusText", "generation 2, 2 workers")
		h.want(unit, "ActiveState", "active")
		s.write("conf/nginx.conf", "broken")
		if out, err := h.run("systemctl", "reload", unit); err == nil {
			t.Errorf("the reload of a broken configuration succeeded: %s", out)
		}
		h.want(unit, "ActiveState", "active")
		h.want(unit, "StatusText", "generation 2, 2 workers")
		s.conf("two", listen...)
		l.end(t, 0)
		wantBody(t, addrs[0], "two")
	})
	step("upgrade", func() {
		l := startLoad(clients...)
		for i := range 5 {
			pid := h.mainPID()
			body := fmt.Sprintf("upgrade %d", i)
			s.conf(body, listen...)
			h.must("systemctl", "kill", "-s", "USR2", "--kill-whom=main", unit)
			until(t, "another master is the main process", func() bool { return h.show(unit, "MainPID") != pid })
			h.await(unit, "StatusText", fmt.Sprintf("generation %d, 2 workers", 3+i))
			until(t, "the old master is gone", func() bool { _, err := h.run("kill", "-0", pid); return err != nil })
			h.mainPID()
			h.want(unit, "ActiveState", "active")
			h.want(unit, "NFileDescriptorStore", "5")
			l.more(t, 20)
			wantBody(t, addrs[0], body)
		}
		h.want(unit, "NRestarts", "0")
		l.end(t, 0)
	})
	step("logrotate", func() {
		snippet, err := os.ReadFile("../scripts/logrotate")
		if err != nil {
			t.Fatal(err)
		}
		_, script, _ := strings.Cut(string(snippet), "postrotate\n")
		script, _, _ = strings.Cut(script, "endscript")
		h.must("sh", "-c", script)
		until(t, "the logs are reopened", func() bool {
			_, err := h.run("journalctl", "-q", "-u", unit, "--grep", "reopening logs")
			return err == nil
		})
	})
	step("kill -9", func() {
		l := startLoad(clients...)
		for i := range 2 {
			l.more(t, 20)
			pid := h.mainPID()
			end := slow(t, addrs[0])
			h.must("systemctl", "kill", "-s", "KILL", "--kill-whom=main", unit)
			h.await(unit, "NRestarts", strconv.Itoa(i+1))
			h.await(unit, "StatusText", "generation 1, 2 workers")
			h.await(unit, "ActiveState", "active")
			if h.mainPID() == pid {
				t.Error("the master has not changed")
			}
			h.want(unit, "NFileDescriptorStore", "5")
			l.more(t, 20)
			if text, err := end(); text != "end" {
				t.Errorf("the request of a worker that lost its master: %q, %v", text, err)
			}
		}
		l.end(t, 0)
	})
	step("restart", func() {
		l := startLoad(clients...)
		l.more(t, 20)
		h.must("systemctl", "restart", unit)
		l.more(t, 20)
		l.end(t, 0)
		h.want(unit, "NFileDescriptorStore", "5")
	})
	step("watchdog", func() {
		l := startLoad(clients...)
		h.must("systemctl", "kill", "-s", "STOP", "--kill-whom=main", unit)
		h.await(unit, "NRestarts", "1")
		h.await(unit, "StatusText", "generation 1, 2 workers")
		h.must("journalctl", "-q", "--grep", "SIGABRT: abort", "-n", "1")
		l.more(t, 20)
		l.end(t, 0)
	})
	step("stop", func() {
		end := slow(t, addrs[0])
		h.must("systemctl", "stop", unit)
		if text, err := end(); text != "end" {
			t.Errorf("the request of the end: %q, %v", text, err)
		}
		h.want(unit, "Result", "success")
		h.want(unit, "ActiveState", "inactive")
		h.want(unit, "NFileDescriptorStore", "0")
		for _, a := range clients {
			if c, err := dial(a); err == nil {
				c.Close()
				t.Errorf("%s is still open", a)
			}
		}
	})
	step("socket activation", func() {
		s.conf("activated", addrs[2])
		h.must("systemctl", "start", "perilune.socket")
		h.want(unit, "ActiveState", "inactive")
		for range 2 {
			wantBody(t, addrs[2], "activated")
			h.await(unit, "ActiveState", "active") // the first worker answers before all are ready
			h.must("systemctl", "stop", unit)
		}
		h.must("systemctl", "stop", "perilune.socket")
	})
	step("instance", func() {
		h.must("systemctl", "start", "perilune@a.service")
		end := slow(t, addrs[3])
		h.must("systemctl", "kill", "-s", "KILL", "--kill-whom=main", "perilune@a.service")
		h.await("perilune@a.service", "NRestarts", "1")
		wantBody(t, addrs[3], "instance")
		if text, err := end(); text != "end" {
			t.Errorf("the request of a worker that lost its master: %q, %v", text, err)
		}
		h.await("perilune@a.service", "ActiveState", "active")
		// Nothing is left when the service is stopped, not even a worker that does not want to go, of a dead master or a living one.
		left := func() string { return h.must("cat", "/sys/fs/cgroup/system.slice/system-perilune.slice/cgroup.procs") }
		for _, dead := range []bool{true, false} {
			h.must("systemctl", "start", "perilune@a.service")
			end := slow(t, addrs[3])
			worker := h.must("sh", "-c", "pgrep -P $(systemctl show --value -p MainPID perilune@a.service) | tr '\n' ' '")
			h.must("sh", "-c", "kill -STOP "+worker)
			if dead {
				h.must("systemctl", "kill", "-s", "KILL", "--kill-whom=main", "perilune@a.service")
				h.await("perilune@a.service", "NRestarts", "2")
				h.await("perilune@a.service", "ActiveState", "active")
			}
			_, _ = h.run("systemctl", "stop", "perilune@a.service")
			_, _ = end()
			h.must("sh", "-c", "! kill -0 "+worker+"2>/dev/null")
			if pids := left(); pids != "" {
				t.Errorf("left over: %s", pids)
			}
		}
	})
	// Neither has it refused a message, nor has it touched the machine.
	log := h.must("journalctl", "--no-pager", "-o", "short-monotonic", "_PID=1")
	for _, text := range []string{"reception only permitted", "invalid", "Unknown", "Failed to", "systemd-sysctl", "systemd-tmpfiles", "systemd-remount-fs"} {
		if strings.Contains(log, text) {
			t.Errorf("systemd says %q:\n%s", text, log)
		}
	}
}

// TestUnits checks the units without starting anything.
func TestUnits(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip(err)
	}
	if os.Getuid() != 0 {
		t.Skip("systemd-analyze looks at directories of root's")
	}
	dir := t.TempDir()
	args := []string{"verify"}
	for _, u := range unitFiles {
		b, err := os.ReadFile(u)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(string(b), "/usr/sbin/perilune", binary)
		name := filepath.Join(dir, strings.Replace(u, "@", "@a", 1))
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		args = append(args, name)
	}
	out, err := exec.Command("systemd-analyze", args...).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	out, err = exec.Command("systemd-analyze", "security", "--offline=true", "--threshold=30", filepath.Join(dir, "perilune.service")).CombinedOutput()
	if err != nil {
		t.Errorf("systemd-analyze security: %v\n%s", err, out)
	}
}

// TestInstanceUnit: the two service units differ in their names only.
func TestInstanceUnit(t *testing.T) {
	directives := func(name string, r *strings.Replacer) string {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		_, text, _ := strings.Cut(string(b), "[Unit]")
		return r.Replace(text)
	}
	one := directives("perilune.service", strings.NewReplacer())
	other := directives("perilune@.service", strings.NewReplacer(
		" (%i)", "", "/etc/perilune/%i.conf", "/etc/perilune/nginx.conf", "/%i", "", "-%i", ""))
	if one != other {
		t.Errorf("perilune@.service is otherwise than perilune.service:\n%s", other)
	}
}
