package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

const fileLog = `
	local log = assert(require("resty.logger.file"):new{ path = "logs/app.log" %s })
	local id = ngx.var.args or "0.0"
	assert(log:write(id, " ", ("x"):rep(id:match("%%d+$") %% 300)))
	ngx.print("ok")`

// ffiLog opens the file for each line, as loggers do that know nothing of USR1.
const ffiLog = `
	local ffi = require "ffi"
	pcall(ffi.cdef, "int open(const char *, int, int); int close(int); ssize_t write(int, const void *, size_t);")
	local fd = ffi.C.open(ngx.config.prefix() .. "logs/app.log", 1 + 64 + 1024, 420)
	local id = ngx.var.args or "0.0"
	local line = id .. " " .. ("x"):rep(id:match("%d+$") % 300) .. "\n"
	assert(ffi.C.write(fd, line, #line) == #line)
	assert(ffi.C.close(fd) == 0)
	ngx.print("ok")`

// TestLuaLogsOverReopens: four workers write from Lua while the file is renamed and opened anew, through a reload, an upgrade
// and the end. Every line is in one of the files, once and whole.
func TestLuaLogsOverReopens(t *testing.T) {
	for name, code := range map[string]string{
		"resty.logger.file": fmt.Sprintf(fileLog, ""),
		"buffered":          fmt.Sprintf(fileLog, `, buffer_size = "4k", flush_interval = 0.02`),
		"ffi":               ffiLog,
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.luaConf("worker_processes 4;"+rootUser(), "access_log off;", code)
			s.start()
			s.until("there are four workers", func() bool { return len(children(s.pid())) == 4 })
			stop := s.load()
			log := s.path("logs/app.log")
			for i := range 8 {
				s.until("there is a log", func() bool { _, err := os.Stat(log); return err == nil })
				if err := os.Rename(log, log+"."+strconv.Itoa(i)); err != nil {
					t.Fatal(err)
				}
				s.mustRun("-s", "reopen")
				// The workers change meanwhile, and what they hold back is written.
				switch old := s.pid(); i {
				case 2:
					before := strings.Count(s.read("logs/error.log"), "start worker process ")
					s.signal(syscall.SIGHUP)
					s.until("new workers have started", func() bool {
						return strings.Count(s.read("logs/error.log"), "start worker process ") >= before+4
					})
				case 5:
					s.signal(syscall.SIGUSR2)
					s.until("the upgrade is done", func() bool { return s.pid() != old && !alive(old) })
				}
			}
			answers := stop()
			pid := s.pid()
			s.mustRun("-s", "quit")
			s.until("it has ended", func() bool { return !alive(pid) && len(s.processes()) == 0 })
			files, _ := filepath.Glob(log + "*")
			seen := make(map[string]bool)
			for _, file := range files {
				b, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				for line := range strings.Lines(string(b)) {
					id, rest, _ := strings.Cut(line, " ")
					n, err := strconv.Atoi(id[strings.IndexByte(id, '.')+1:])
					switch {
					case err != nil || rest != strings.Repeat("x", n%300)+"\n":
						t.Errorf("%s: %q", file, line)
					case seen[id] && id != "0.0":
						t.Errorf("line %s is there twice", id)
					}
					seen[id] = true
				}
			}
			if len(seen) != answers || answers == 0 {
				t.Errorf("%d lines, %d answers", len(seen), answers)
			}
		})
	}
}
