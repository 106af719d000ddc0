package httplua_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"perilune/internal/freeport"
)

// program starts a program that serves, and waits until it does.
func program(t *testing.T, addr, name string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skip("no " + name)
	}
	cmd := exec.Command(path, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	waitFor(t, addr)
}

func TestRedis(t *testing.T) {
	addr, dir := freeport.Addr(t), t.TempDir()
	_, p, _ := net.SplitHostPort(addr)
	sock := filepath.Join(dir, "redis.sock")
	program(t, addr, "redis-server", "--port", p, "--bind", "127.0.0.1", "--unixsocket", sock, "--save", "", "--dir", dir)
	s := start(t, "", `location / { content_by_lua_block {
		local function command(s, ...)
			local t = {"*", select("#", ...), "\r\n"}
			for i = 1, select("#", ...) do
				local v = tostring(select(i, ...))
				t[#t + 1] = {"$", #v, "\r\n", v, "\r\n"}
			end
			assert(s:send(t))
			local line = assert(s:receive())
			local kind, rest = line:sub(1, 1), line:sub(2)
			if kind ~= "$" then return line end
			local data = assert(s:receive(tonumber(rest)))
			assert(s:receive(2) == "\r\n")
			return data
		end
		local s = ngx.socket.tcp()
		local big = string.rep("big value ", 100000)
		for _, to in ipairs{{"127.0.0.1", `+p+`}, {"unix:`+sock+`"}} do
			for i = 1, 3 do
				assert(s:connect(unpack(to)))
				ngx.print(s:getreusedtimes(), " ", command(s, "set", "key" .. i, "value\r\n" .. i), " ", #command(s, "get", "key" .. i))
				ngx.say(" ", command(s, "set", "big", big), " ", command(s, "get", "big") == big, " ", command(s, "incr", "n"))
				assert(s:setkeepalive(10000, 10))
			end
		end
		local sub, pub = ngx.socket.tcp(), ngx.socket.tcp()
		assert(sub:connect("127.0.0.1", `+p+`))
		assert(pub:connect("127.0.0.1", `+p+`))
		sub:send("subscribe ch\r\n")
		for _ = 1, 6 do assert(sub:receive()) end
		local t = ngx.thread.spawn(function()
			local lines = {}
			for i = 1, 7 do lines[i] = assert(sub:receive()) end
			return table.concat(lines, " ")
		end)
		ngx.say(command(pub, "publish", "ch", "hello"))
		ngx.say(ngx.thread.wait(t))
	} }`, nil)
	const want = "0 +OK 8 +OK true :1\n1 +OK 8 +OK true :2\n2 +OK 8 +OK true :3\n" +
		"0 +OK 8 +OK true :4\n1 +OK 8 +OK true :5\n2 +OK 8 +OK true :6\n" +
		":1\ntrue*3 $7 message $2 ch $5 hello\n"
	s.expect(t, "/", "200 OK", want)
}

func TestMemcached(t *testing.T) {
	addr := freeport.Addr(t)
	_, p, _ := net.SplitHostPort(addr)
	args := []string{"-p", p, "-l", "127.0.0.1", "-U", p}
	if os.Getuid() == 0 {
		args = append(args, "-u", "root")
	}
	program(t, addr, "memcached", args...)
	s := start(t, "", `location / { content_by_lua_block {
		local s = ngx.socket.tcp()
		assert(s:connect("127.0.0.1", `+p+`))
		s:send{"set k 0 0 5\r\n", "hello", "\r\n"}
		ngx.say(s:receive())
		s:send("get k\r\n")
		ngx.say(s:receive(), " ", s:receiveuntil("\r\nEND\r\n")())
		ngx.say(s:setkeepalive())
		local u = ngx.socket.udp()
		ngx.say(u:setpeername("127.0.0.1", `+p+`))
		u:settimeout(5000)
		ngx.say(u:send("\0\1\0\0\0\1\0\0get k\r\n"))
		local answer = assert(u:receive())
		ngx.say((answer:sub(9):gsub("\r\n", " ")))
		u:send("\0\2\0\0\0\1\0\0get k\r\n")
		ngx.say(#u:receive(4))
		ngx.say(u:close())
	} }`, nil)
	s.expect(t, "/", "200 OK", "STORED\nVALUE k 0 5 hello\n1\n1\n1\nVALUE k 0 5 hello END \n4\n1\n")
}
