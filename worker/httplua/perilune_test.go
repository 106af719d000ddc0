package httplua_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"perilune/conf"
	"perilune/internal/freeport"
	"perilune/logging"
	"perilune/worker/http"
	"perilune/worker/httplua"
	"perilune/worker/loop"
)

// info is what a worker knows of itself.
type info struct{}

func (info) PID() int            { return os.Getpid() }
func (info) ID() int             { return 0 }
func (info) Count() int          { return 1 }
func (info) Exiting() bool       { return false }
func (info) PIDs() []int         { return []int{os.Getpid()} }
func (info) MasterPID() int      { return os.Getppid() }
func (info) EnableAgent(int)     {}
func (info) ProcessType() string { return "worker" }
func (info) Quit()               {}

// server is a worker of this process.
type server struct {
	addr string
	dir  string
	stop func()
}

// modules are the HTTP engine's modules and this one, which must come before the
// end of the http block resolves its variables.
func modules() []*conf.Module {
	all := append(conf.Modules(), http.Modules()...)
	return append(all, httplua.Module)
}

// serve starts a worker with the configuration in dir that listens at addr.
func serve(t testing.TB, dir, addr string) (*server, error) {
	t.Helper()
	cycle, err := conf.Load(conf.Options{Prefix: dir, ConfFile: "conf/nginx.conf", Modules: modules(), Log: configLog(t, dir)})
	if err != nil {
		return nil, err
	}
	log := logging.New()
	for _, d := range cycle.CoreConf().ErrorLogs {
		log.AddDirective(cycle.Files, d)
	}
	for _, ls := range cycle.Listening {
		ls.FDs = []int{listenAt(t, addr)}
	}
	createZones(t, cycle)
	l, err := loop.New()
	if err != nil {
		t.Fatal(err)
	}
	srv, err := http.NewServer(l, cycle, log)
	if err != nil {
		t.Fatal(err)
	}
	if err := cycle.Files.OpenAll(); err != nil {
		t.Fatal(err)
	}
	done, up := make(chan struct{}), make(chan error, 1)
	l.Go(func() {
		err := httplua.Init(srv, info{}, " --test")
		if err == nil {
			err = httplua.InitWorker(srv, info{})
		}
		if err == nil {
			err = srv.Start()
		}
		up <- err
	})
	go func() {
		defer close(done)
		if err := l.Run(); err != nil {
			t.Error(err)
		}
	}()
	s := &server{addr: addr, dir: dir}
	stopped := false
	s.stop = func() {
		if stopped {
			return
		}
		stopped = true
		l.Post(l.Stop)
		<-done
		cycle.Files.CloseAll()
		for _, ls := range cycle.Listening {
			for _, fd := range ls.FDs {
				_ = unix.Close(fd)
			}
		}
	}
	t.Cleanup(s.stop)
	if err := <-up; err != nil {
		s.stop()
		return s, err
	}
	return s, nil
}

// configLog is the error log while the configuration is read.
func configLog(t testing.TB, dir string) *logging.Log {
	t.Helper()
	f, err := logging.OpenFile(filepath.Join(dir, "logs/error.log"))
	if err != nil {
		t.Fatal(err)
	}
	f.SetSync()
	log := logging.New()
	log.Add(f, logging.Notice, logging.Text)
	t.Cleanup(func() { _ = f.Close() })
	return log
}

func listenAt(t testing.TB, addr string) int {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	return fd
}

// TestCases runs the cases against the worker of this process.
func TestCases(t *testing.T) {
	for _, path := range caseFiles(t) {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			c := readCase(t, path)
			addr := freeport.Addr(t)
			dir := c.prefix(t, "", "lua_strict_phases on;", addr)
			s, err := serve(t, dir, addr)
			if err != nil {
				t.Fatal(err)
			}
			responses := c.ask(t, addr)
			s.stop()
			c.check(t, responses, c.log(t, dir, addr), "log")
		})
	}
}
