package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The core that the servers share, and that of wrk.
const (
	serverCore = 0
	loadCore   = 1
	anyCore    = -1
)

// program is one of the two that are compared.
type program struct {
	name, binary string
	globals      string // directives in front of the configuration
}

// server is a running program.
type server struct {
	program program
	dir     string
	addr    string
	cmd     *exec.Cmd
	stderr  bytes.Buffer
	workers []int
}

// start starts the program with workers processes on that core; peers may be nil.
func start(p program, configuration string, peers *peers, workers, core int) (*server, error) {
	dir, err := os.MkdirTemp("", "perilune-bench-")
	if err != nil {
		return nil, err
	}
	s := &server{program: p, dir: dir}
	if err := s.start(configuration, peers, workers, core); err != nil {
		s.stop()
		return nil, fmt.Errorf("%s: %w\n%s", p.name, err, s.stderr.String())
	}
	return s, nil
}

func (s *server) start(configuration string, peers *peers, workers, core int) error {
	for _, d := range []string{"conf", "logs", "html"} {
		if err := os.Mkdir(filepath.Join(s.dir, d), 0o755); err != nil {
			return err
		}
	}
	for name, data := range files() {
		if err := os.WriteFile(filepath.Join(s.dir, "html", name), data, 0o644); err != nil {
			return err
		}
	}
	if peers != nil {
		if err := peers.install(s.dir); err != nil {
			return err
		}
	}
	port := freePort()
	s.addr = "127.0.0.1:" + port
	text := fmt.Sprintf("daemon off;\nworker_processes %d;\npid logs/nginx.pid;\nerror_log logs/error.log error;\n", workers)
	if os.Getuid() == 0 {
		text += "user root;\n"
	}
	text += strings.ReplaceAll(configuration, "PORT", port)
	conf := filepath.Join(s.dir, "conf/nginx.conf")
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		return err
	}
	args := []string{s.program.binary, "-p", s.dir + "/", "-c", "conf/nginx.conf", "-e", "logs/error.log"}
	if s.program.globals != "" {
		args = append(args, "-g", s.program.globals)
	}
	if core != anyCore {
		args = append([]string{"taskset", "-c", strconv.Itoa(core)}, args...)
	}
	s.cmd = exec.Command(args[0], args[1:]...)
	s.cmd.Stderr = &s.stderr
	if err := s.cmd.Start(); err != nil {
		return err
	}
	return s.waitForWorkers(workers)
}

// waitForWorkers polls until the server answers and has its workers.
func (s *server) waitForWorkers(n int) error {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if _, err := get(s.addr, "/return"); err != nil {
			continue
		}
		if s.workers = children(s.cmd.Process.Pid); len(s.workers) == n {
			return nil
		}
	}
	return errors.New("it does not start")
}

func (s *server) stop() {
	if s.cmd != nil && s.cmd.Process != nil {
		s.cmd.Process.Signal(syscall.SIGTERM)
		s.cmd.Wait()
	}
	os.RemoveAll(s.dir)
}

// children returns the child processes of pid.
func children(pid int) []int {
	var pids []int
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, path := range tasks {
		b, _ := os.ReadFile(path)
		for _, field := range strings.Fields(string(b)) {
			if child, err := strconv.Atoi(field); err == nil {
				pids = append(pids, child)
			}
		}
	}
	return pids
}

// cpuTime returns the processor time that a process has used.
func cpuTime(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// Fields from the state on; utime and stime are 14 and 15 of all.
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	user, err1 := strconv.Atoi(f[11])
	system, err2 := strconv.Atoi(f[12])
	const tick = time.Second / 100 // USER_HZ is 100 on every Linux that Go runs on
	return time.Duration(user+system) * tick, errors.Join(err1, err2)
}

// residentKiB returns the resident memory of a process.
func residentKiB(pid int) (int, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmRSS:" {
			return strconv.Atoi(f[1])
		}
	}
	return 0, errors.New("no VmRSS")
}
