package httplua_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"perilune/internal/freeport"
)

// libs are the http directives with which require finds public libraries, unmodified; the test is skipped where they are
// not: make test-libs fetches them.
func libs(t *testing.T, names ...string) string {
	t.Helper()
	root := os.Getenv("PERILUNE_LUA_LIBS")
	if root == "" {
		t.Skip("for make test-libs")
	}
	var path strings.Builder
	for _, name := range names {
		dir := filepath.Join(root, name, "lib")
		if _, err := os.Stat(dir); err != nil {
			t.Skip("no " + name)
		}
		path.WriteString(dir + "/?.lua;")
	}
	if againstNginx() {
		path.WriteString(filepath.Join(root, "lua-resty-string/lib/?.lua") + ";")
	}
	return fmt.Sprintf("lua_package_path \"%s;\";\n%s\n", path.String(), initLib)
}

// initLib has functions that show values: cjson, and fields with the fields of a table in order.
const initLib = `init_by_lua_block {
	cjson = require("cjson").encode
	function fields(t)
		local names, all = {}, {}
		for name in pairs(t) do names[#names + 1] = name end
		table.sort(names)
		for i, name in ipairs(names) do all[i] = name .. "=" .. tostring(t[name]) end
		return table.concat(all, " ")
	end
}`

// againstNginx has the tests of libraries run on nginx with ngx_lua, to see that what they expect is right.
func againstNginx() bool { return os.Getenv("PERILUNE_PEERS") != "" }

// startEither is start for what nginx can do, too.
func startEither(t *testing.T, http, srv string) *server {
	t.Helper()
	if !againstNginx() {
		s := start(t, http, srv, nil)
		t.Cleanup(func() { s.logFailure(t) })
		return s
	}
	c := &diffCase{sections: []section{{"http", http}, {"server", srv}}}
	addr := freeport.Addr(t)
	dir := c.prefix(t, "load_module "+oracleModules+"/ndk_http_module.so; load_module "+oracleModules+"/ngx_http_lua_module.so; daemon off; master_process off; ", "", addr)
	cmd := exec.Command("nginx", "-p", dir+"/", "-c", "conf/nginx.conf", "-e", "logs/error.log")
	if err := cmd.Start(); err != nil {
		t.Skip(err)
	}
	s := &server{addr: addr, dir: dir, stop: sync.OnceFunc(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})}
	t.Cleanup(func() { s.logFailure(t) })
	waitFor(t, addr)
	return s
}

// logFailure ends the server, and shows its error log if the test has failed.
func (s *server) logFailure(t *testing.T) {
	if log := s.log(t); t.Failed() {
		t.Log(log)
	}
}

func TestLibRedis(t *testing.T) {
	http := libs(t, "lua-resty-redis")
	addr, dir := freeport.Addr(t), t.TempDir()
	_, p, _ := net.SplitHostPort(addr)
	sock := filepath.Join(dir, "redis.sock")
	program(t, addr, "redis-server", "--port", p, "--bind", "127.0.0.1", "--unixsocket", sock, "--save", "", "--dir", dir)
	s := startEither(t, http, `location / { content_by_lua_block {
		local redis = require "resty.redis"
		local function connect(host, port)
			local red = redis:new()
			red:set_timeouts(5000, 5000, 5000)
			assert(red:connect(host, port))
			return red
		end
		for _, to in ipairs{{"127.0.0.1", `+p+`}, {"unix:`+sock+`"}} do
			for i = 0, 2 do
				local red = connect(unpack(to))
				ngx.say("reused ", red:get_reused_times(), " ", red:set("dog", "an animal\r\n" .. i), " ", (red:get("dog"):gsub("\r\n", " ")), " ", red:get("no such key") == ngx.null)
				assert(red:set_keepalive(10000, 10))
			end
		end
		local red = connect("127.0.0.1", `+p+`)
		ngx.say(red:hmset("animals", {dog = "bark", cat = "meow"}), " ", table.concat(red:hmget("animals", "dog", "cat"), ","), " ", red:array_to_hash(red:hgetall("animals")).cat)
		red:init_pipeline()
		for i = 1, 1000 do red:incrby("n", i) end
		local results = assert(red:commit_pipeline())
		ngx.say(#results, " ", results[1000])
		ngx.say(red:multi(), " ", red:set("a", "1"), " ", red:lpop("a"), " ", cjson((red:exec())))
		ngx.say(red:eval("return {KEYS[1], ARGV[1], 7}", 1, "key", "arg")[3])
		local big = ("0123456789abcdef"):rep(65536)
		ngx.say(red:set("big", big), " ", red:get("big") == big)
		ngx.say(red:incr("dog"))
		local sub = connect("127.0.0.1", `+p+`)
		ngx.say(cjson((sub:subscribe("channel"))))
		local reader = ngx.thread.spawn(function()
			sub:set_timeout(20)
			local none, err = sub:read_reply()
			sub:set_timeout(5000)
			return tostring(err) .. " " .. cjson((sub:read_reply()))
		end)
		ngx.sleep(0.1)
		ngx.say(red:publish("channel", "hello"))
		ngx.say(ngx.thread.wait(reader))
		ngx.say(sub:set_keepalive())
		ngx.say(cjson((sub:unsubscribe("channel"))), " ", sub:close())
		ngx.say(red:close())
		ngx.say(red:get("dog"))
	} }`)
	reused := func(n int) string { return fmt.Sprintf("reused %d OK an animal %d true\n", n, n) }
	s.expect(t, "/", "200 OK", reused(0)+reused(1)+reused(2)+reused(0)+reused(1)+reused(2)+
		"OK bark,meow meow\n1000 500500\n"+
		`OK QUEUED QUEUED ["OK",[false,"WRONGTYPE Operation against a key holding the wrong kind of value"]]`+"\n7\nOK true\n"+
		"falseERR value is not an integer or out of range\n"+
		`["subscribe","channel",1]`+"\n1nil\n"+`truetimeout ["message","channel","hello"]`+"\n"+
		"nilsubscribed state\n"+`["unsubscribe","channel",0] 1`+"\n1\nnilclosed\n")
}

func TestLibMemcached(t *testing.T) {
	http := libs(t, "lua-resty-memcached")
	addr := freeport.Addr(t)
	_, p, _ := net.SplitHostPort(addr)
	program(t, addr, "memcached", "-u", "nobody", "-l", "127.0.0.1", "-p", p)
	s := startEither(t, http, `location / { content_by_lua_block {
		local memcached = require "resty.memcached"
		for i = 0, 2 do
			local memc = assert(memcached:new())
			memc:set_timeouts(5000, 5000, 5000)
			assert(memc:connect("127.0.0.1", `+p+`))
			assert(memc:flush_all())
			ngx.say(memc:get_reused_times(), " ", memc:set("a key", "value\r\n" .. i, 0, 7), " ", cjson{memc:get("a key")}, " ", cjson{memc:get("none")})
			assert(memc:set_keepalive(10000, 10))
		end
		local memc = assert(memcached:new())
		assert(memc:connect("127.0.0.1", `+p+`))
		ngx.say(memc:add("a key", "x"))
		ngx.say(memc:append("a key", "more"), memc:prepend("a key", "less"), " ", (memc:get("a key"):gsub("\r\n", " ")))
		local values = memc:gets{"a key", "none"}
		ngx.say(values["a key"][2], " ", values.none)
		ngx.say(memc:cas("a key", "new", values["a key"][3], 0, 1), memc:cas("a key", "newer", values["a key"][3], 0, 1))
		ngx.say(memc:set("n", 10), memc:incr("n", 5), " ", memc:decr("n", 3), " ", memc:delete("n"), memc:incr("n", 1))
		memc:init_pipeline(100)
		for i = 1, 100 do memc:set("k" .. i, i) end
		ngx.say(#memc:commit_pipeline())
		local big = ("0123456789abcdef"):rep(32768)
		ngx.say(memc:set("big", big), " ", memc:get("big") == big)
		ngx.say(memc:touch("big", 10), " ", memc:version() ~= nil, " ", memc:close())
	} }`)
	line := func(i int) string { return fmt.Sprintf(`%d 1 ["value\r\n%d","7"] {}`, i, i) + "\n" }
	s.expect(t, "/", "200 OK", line(0)+line(1)+line(2)+"nilNOT_STORED\n11 lessvalue 2more\n7 nil\n1nilEXISTS\n1"+"15 12 1nilNOT_FOUND\n100\n1 true\n1 true 1\n")
}
