package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const fileLog = `
	local log = assert(require("resty.logger.file"):new{ path = "logs/app.log" %s })
	assert(log:write(ngx.var.arg_id, " ", ("x"):rep(ngx.var.arg_id %% 300)))
	ngx.print("ok")`

// ffiLog opens the file for each line, as loggers do that know nothing of USR1.
const ffiLog = `
	local ffi = require "ffi"
	pcall(ffi.cdef, "int open(const char *, int, int); int close(int); ssize_t write(int, const void *, size_t);")
	local fd = ffi.C.open(ngx.config.prefix() .. "logs/app.log", 1 + 64 + 1024, 420)
	local line = ngx.var.arg_id .. " " .. ("x"):rep(ngx.var.arg_id % 300) .. "\n"
	assert(ffi.C.write(fd, line, #line) == #line)
	assert(ffi.C.close(fd) == 0)
	ngx.print("ok")`

// TestLuaLogsOverReopens: four workers write from Lua while the file is renamed and opened anew. Every line is in one of the
// files, once and whole.
func TestLuaLogsOverReopens(t *testing.T) {
	for name, code := range map[string]string{
		"resty.logger.file": fmt.Sprintf(fileLog, ""),
		"buffered":          fmt.Sprintf(fileLog, `, buffer_size = "4k", flush_interval = 0.02`),
		"ffi":               ffiLog,
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			main := "worker_processes 4;"
			if os.Geteuid() == 0 {
				main += " user root;" // that may make files in the directory
			}
			s.luaConf(main, "access_log off;", code)
			s.start()
			s.until("there are four workers", func() bool { return len(children(s.pid())) == 4 })
			const clients, requests = 8, 250
			var wg sync.WaitGroup
			for c := range clients {
				wg.Add(1)
				go func() {
					defer wg.Done()
					client := &http.Client{Transport: &http.Transport{}, Timeout: 20 * time.Second}
					defer client.CloseIdleConnections()
					for i := range requests {
						r, err := client.Get(fmt.Sprintf("http://%s/?id=%d", s.addr, c*requests+i))
						if err != nil {
							t.Error(err)
							return
						}
						_, _ = io.Copy(io.Discard, r.Body)
						r.Body.Close()
						if r.StatusCode != 200 {
							t.Error(r.Status)
							return
						}
					}
				}()
			}
			done := make(chan struct{})
			go func() { wg.Wait(); close(done) }()
			log := s.path("logs/app.log")
			over := func() bool {
				select {
				case <-done:
					return true
				default:
					return false
				}
			}
			rotations := 0
			for !over() {
				s.until("there is a log", func() bool { _, err := os.Stat(log); return err == nil || over() })
				if err := os.Rename(log, log+"."+strconv.Itoa(rotations)); err != nil {
					break // all requests are done
				}
				rotations++
				s.mustRun("-s", "reopen")
			}
			s.mustRun("-s", "quit")
			s.ended()
			files, _ := filepath.Glob(log + "*")
			seen := make(map[int]int)
			for _, file := range files {
				b, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				for _, line := range strings.SplitAfter(string(b), "\n") {
					if line == "" {
						continue
					}
					id, rest, _ := strings.Cut(line, " ")
					n, err := strconv.Atoi(id)
					if err != nil || rest != strings.Repeat("x", n%300)+"\n" {
						t.Errorf("%s: %q", file, line)
					}
					seen[n]++
				}
			}
			for n := range clients * requests {
				if seen[n] != 1 {
					t.Errorf("line %d is there %d times", n, seen[n])
				}
			}
			if rotations < 3 {
				t.Errorf("only %d rotations", rotations)
			}
		})
	}
}
