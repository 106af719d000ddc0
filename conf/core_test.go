package conf

import (
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"perilune/logging"
)

func TestCoreDefaults(t *testing.T) {
	cycle := mustLoad(t, "events {}")
	c, e := cycle.CoreConf(), cycle.EventsConf()
	if !c.Daemon.V || !c.MasterProcess.V || c.WorkerProcesses.V != 1 || c.ShutdownTimeout.V != 0 ||
		c.RlimitNofile.IsSet || c.RlimitCore.IsSet || c.UID != -1 || c.GID != -1 || c.Affinity(0) != nil {
		t.Errorf("core: %+v", c)
	}
	if c.Pid.V != "/p/logs/nginx.pid" || c.LockFile.V != "/p/logs/nginx.lock" {
		t.Errorf("files: %q %q", c.Pid.V, c.LockFile.V)
	}
	if want := []logging.Directive{{Target: "/p/logs/error.log", Level: logging.Error}}; !slices.Equal(c.ErrorLogs, want) {
		t.Errorf("error_log: %v", c.ErrorLogs)
	}
	if e.WorkerConnections.V != 512 || e.Use.V != "epoll" || e.MultiAccept.V || e.AcceptMutex.V {
		t.Errorf("events: %+v", e)
	}
}

func TestCoreValues(t *testing.T) {
	cycle := mustLoad(t, `
daemon off; master_process off; worker_processes 4; worker_priority -7; worker_rlimit_nofile 100;
worker_rlimit_core 1g; worker_shutdown_timeout 1m5s; worker_hang_timeout 7s; worker_oom_score_adj -5; upgrade_timeout 3s; user www; pid run/x.pid; working_directory /tmp;
error_log logs/a.log; error_log /b.log info; error_log stderr warn format=json;
events { worker_connections 7; use epoll; multi_accept on; accept_mutex on; }`)
	c, e := cycle.CoreConf(), cycle.EventsConf()
	if c.Daemon.V || c.MasterProcess.V || c.WorkerProcesses.V != 4 || c.WorkerPriority.V != -7 || c.RlimitNofile.V != 100 ||
		c.RlimitCore.V != 1<<30 || c.ShutdownTimeout.V != 65*time.Second || c.User.V != "www" || c.Pid.V != "/p/run/x.pid" || c.WorkingDir.V != "/tmp" {
		t.Errorf("core: %+v", c)
	}
	if c.HangTimeout.V != 7*time.Second || c.OOMScoreAdj.V != -5 || c.UpgradeTimeout.V != 3*time.Second {
		t.Errorf("supervision: %v, %d, %v", c.HangTimeout.V, c.OOMScoreAdj.V, c.UpgradeTimeout.V)
	}
	want := []logging.Directive{
		{Target: "/p/logs/a.log", Level: logging.Error}, {Target: "/b.log", Level: logging.Info},
		{Target: "stderr", Level: logging.Warn, Format: logging.JSON},
	}
	if !slices.Equal(c.ErrorLogs, want) {
		t.Errorf("error_log: %v", c.ErrorLogs)
	}
	if files := cycle.Files.All(); len(files) != 2 || files[0].Path() != "/p/logs/a.log" || !cycle.Files.UsesStderr() {
		t.Errorf("files: %v", files)
	}
	if e.WorkerConnections.V != 7 || !e.MultiAccept.V || !e.AcceptMutex.V {
		t.Errorf("events: %+v", e)
	}
}

func TestWorkerProcessesAuto(t *testing.T) {
	n := mustLoad(t, "worker_processes auto; events {}").CoreConf().WorkerProcesses.V
	if n < 1 || n != onlineCPUs() {
		t.Errorf("auto is %d", n)
	}
}

func TestUserLookup(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the user directive is for root")
	}
	tests := []struct{ text, user string }{{"user root;", "root"}, {"user root daemon;", "root"}, {"", "nobody"}}
	for _, test := range tests {
		cycle, err := Load(Options{Prefix: "/p", Modules: testModules(),
			Source: mapSource{"/p/conf/nginx.conf": test.text + " events {}"}})
		if err != nil {
			t.Fatal(err)
		}
		c := cycle.CoreConf()
		if c.User.V != test.user || c.UID < 0 || c.GID < 0 || (c.UID == 0) != (test.user == "root") {
			t.Errorf("%q: %q %d:%d", test.text, c.User.V, c.UID, c.GID)
		}
	}
}

func TestEnviron(t *testing.T) {
	master := []string{"A=1", "B=2", "TZ=UTC", "PATH=/bin", "AA=3"}
	tests := []struct {
		text string
		want []string
	}{
		{"", []string{"TZ=UTC"}},
		{"env A; env NONE;", []string{"A=1", "TZ=UTC"}},
		{"env A=x=y; env B=;", []string{"A=x=y", "B=", "TZ=UTC"}},
		{"env TZ=CET;", []string{"TZ=CET"}},
		{"env TZ; env PATH;", []string{"TZ=UTC", "PATH=/bin"}},
	}
	for _, test := range tests {
		c := mustLoad(t, test.text+" events {}").CoreConf()
		if got := c.Environ(master); !slices.Equal(got, test.want) {
			t.Errorf("%q: %q, want %q", test.text, got, test.want)
		}
	}
}

func TestAffinity(t *testing.T) {
	tests := []struct {
		masks string
		want  [][]int // the processors of the first workers, nil for all
	}{
		{"01 10", [][]int{{0}, {1}, {1}}},
		{"0101 '10 10'", [][]int{{0, 2}, {1, 3}}},
		{"auto 1010", [][]int{{1}, {3}, {1}, {3}}},
		{"auto 0", [][]int{nil, nil}},
		{"1", [][]int{{0}, {0}}},
	}
	for _, test := range tests {
		c := mustLoad(t, "worker_cpu_affinity "+test.masks+"; events {}").CoreConf()
		for slot, want := range test.want {
			got := c.Affinity(slot)
			if (got == nil) != (want == nil) {
				t.Errorf("%s: slot %d: %v", test.masks, slot, got)
				continue
			}
			if got == nil {
				continue
			}
			var set unix.CPUSet
			for _, cpu := range want {
				set.Set(cpu)
			}
			if *got != set {
				t.Errorf("%s: slot %d is not %v", test.masks, slot, want)
			}
		}
	}
	c := mustLoad(t, "worker_cpu_affinity auto; events {}").CoreConf()
	if set := c.Affinity(onlineCPUs()); set == nil || !set.IsSet(0) || set.Count() != 1 {
		t.Error("auto does not start again with the first processor")
	}
}
