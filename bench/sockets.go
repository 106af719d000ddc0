package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// upstreams is what is outside of the server for the cases about proxy_pass.
const upstreams = `upstream bench { server 127.0.0.1:UPSTREAM; keepalive 100; }
`

// socketLocations is what the cases about cosockets and proxy_pass ask; REDIS and UPSTREAM are ports of the peers.
const socketLocations = `
location = /redis {
	content_by_lua_block {
		local red = require "resty.redis":new()
		red:set_timeouts(20000, 20000, 20000)
		assert(red:connect("127.0.0.1", REDIS))
		local value = assert(red:get("bench"))
		assert(red:set_keepalive(60000, 100))
		ngx.say(value)
	}
}
location = /roundtrip {
	content_by_lua_block {
		local sock = ngx.socket.tcp()
		sock:settimeouts(20000, 20000, 20000)
		assert(sock:connect("127.0.0.1", UPSTREAM))
		assert(sock:send("GET /return HTTP/1.1\r\nHost: bench\r\n\r\n"))
		local line, length = assert(sock:receive()), nil
		while line ~= "" do
			line = assert(sock:receive())
			if line:sub(1, 16) == "Content-Length: " then length = tonumber(line:sub(17)) end
		end
		local body = assert(sock:receive(length))
		assert(sock:setkeepalive(60000, 100))
		ngx.print(body)
	}
}
location /proxied/ { proxy_pass http://bench/file-; proxy_http_version 1.1; proxy_set_header Connection ""; }
location = /connect {
	content_by_lua_block {
		local sock = ngx.socket.connect("127.0.0.1", UPSTREAM)
		assert(sock:send("GET /return HTTP/1.0\r\nHost: bench\r\n\r\n"))
		ngx.print((assert(sock:receive("*a")):match("\r\n\r\n(.*)")))
	}
}
`

const upstreamConfiguration = `daemon off; worker_processes 1; pid nginx.pid; error_log stderr error;
events { worker_connections 10000; }
http {
	access_log off;
	keepalive_requests 1000000000;
	server { listen 127.0.0.1:PORT backlog=4096; sendfile on; location / { return 200 "Hello, world!\n"; } location /file- { root FILES; } }
}
`

// peers are the servers that both programs talk to, on the core of wrk.
type peers struct {
	dir      string
	programs []*exec.Cmd
	redis    string // resty/redis.lua, "" if it is not there
	conf     string // socketLocations with the ports
	groups   string // upstreams, likewise
}

// startPeers starts them. libs is a folder with a checkout of lua-resty-redis, which both programs are given.
func startPeers(libs string) (*peers, error) {
	dir, err := os.MkdirTemp("", "perilune-bench-")
	if err != nil {
		return nil, err
	}
	p := &peers{dir: dir}
	if err := os.Chmod(dir, 0o755); err != nil { // nginx's workers are another user's
		return p, err
	}
	if path := filepath.Join(libs, "lua-resty-redis/lib/resty/redis.lua"); libs != "" {
		if _, err := os.Stat(path); err == nil {
			p.redis = path
		}
	}
	redis, upstream := freePort(), freePort()
	p.conf = strings.NewReplacer("REDIS", redis, "UPSTREAM", upstream).Replace(socketLocations)
	p.groups = strings.ReplaceAll(upstreams, "UPSTREAM", upstream)
	for name, size := range map[string]int{"file-1k": 1 << 10, "file-1m": 1 << 20} {
		if err := os.WriteFile(filepath.Join(dir, name), bytes.Repeat([]byte("0123456789abcdef"), size/16), 0o644); err != nil {
			return p, err
		}
	}
	conf := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(conf, []byte(strings.NewReplacer("PORT", upstream, "FILES", dir).Replace(upstreamConfiguration)), 0o644); err != nil {
		return p, err
	}
	if err := p.start(upstream, "/usr/sbin/nginx", "-p", dir+"/", "-c", conf, "-e", "stderr"); err != nil {
		return p, err
	}
	if err := p.start(redis, "/usr/bin/redis-server", "--port", redis, "--bind", "127.0.0.1", "--save", "", "--dir", dir); err != nil {
		return p, err
	}
	c, err := net.Dial("tcp", "127.0.0.1:"+redis)
	if err != nil {
		return p, err
	}
	defer c.Close()
	if _, err := fmt.Fprintf(c, "SET bench %s\r\n", strings.Repeat("value ", 10)); err != nil {
		return p, err
	}
	_, err = c.Read(make([]byte, 8))
	return p, err
}

// start starts a peer and waits until it listens.
func (p *peers) start(port string, args ...string) error {
	cmd := exec.Command("taskset", append([]string{"-c", fmt.Sprint(loadCore)}, args...)...)
	if err := cmd.Start(); err != nil {
		return err
	}
	p.programs = append(p.programs, cmd)
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			c.Close()
			return nil
		}
	}
	return errors.New(args[0] + " does not start")
}

func (p *peers) stop() {
	for _, cmd := range p.programs {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	}
	os.RemoveAll(p.dir)
}

// lacks says what a case needs that is not there, "" for nothing.
func (p *peers) lacks(c benchCase) string {
	if c.redis && p.redis == "" {
		return "no lua-resty-redis below -libs (scripts/lua-libs fetches it)"
	}
	return ""
}

// install puts what the configuration includes into the folder of a server.
func (p *peers) install(dir string) error {
	if err := os.WriteFile(filepath.Join(dir, "conf/upstreams.conf"), []byte(p.groups), 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "conf/sockets.conf"), []byte(p.conf), 0o644); err != nil || p.redis == "" {
		return err
	}
	lib, err := os.ReadFile(p.redis)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, "lualib/resty"), 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "lualib/resty/redis.lua"), lib, 0o644)
}

// freePort is a port that nobody listens on.
func freePort() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "0"
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}
