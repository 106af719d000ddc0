package httplua_test

import (
	"strings"
	"testing"
)

// TestThreadsNobodyWaitsFor spawns more threads than there is memory for if a single
// one of them were kept, and waits for none.
func TestThreadsNobodyWaitsFor(t *testing.T) {
	const count = `
		local function grown(n, step)
			local function used() collectgarbage() return collectgarbage("count") end
			for i = 1, n / 10 do step(i) end
			local before = used()
			for i = 1, n do step(i) end
			local kib = used() - before
			return kib < 2048 and "ok" or "grown by " .. kib .. " KiB"
		end
	`
	s := start(t, "", `
		location /zombies { content_by_lua_block {`+count+`
			ngx.print(grown(100000, function(i) ngx.thread.spawn(function() return i, {} end) end))
		} }
		location /errors { error_log logs/none.log crit; content_by_lua_block {`+count+`
			ngx.print(grown(20000, function(i) ngx.thread.spawn(function() error({i}) end) end))
		} }
		location /late { content_by_lua_block {`+count+`
			ngx.print(grown(20000, function(i)
				ngx.thread.spawn(function() ngx.sleep(0) return {} end)
				if i % 100 == 0 then ngx.sleep(0) end
			end))
		} }
		location /killed { content_by_lua_block {`+count+`
			ngx.print(grown(20000, function(i)
				ngx.thread.kill(ngx.thread.spawn(function() ngx.sleep(100) end))
				if i % 100 == 0 then ngx.sleep(0) end
			end))
		} }
		location /chain { content_by_lua_block {`+count+`
			local function link(n)
				if n > 0 then ngx.thread.spawn(function() ngx.sleep(0) link(n - 1) end) end
			end
			local left = 0
			local function step() left = left + 1 link(100) ngx.sleep(0) end
			ngx.print(grown(300, step))
		} }
		location /timer { content_by_lua_block {`+count+`
			local s = require("ngx.semaphore").new()
			local said
			ngx.timer.at(0, function()
				said = grown(100000, function(i) ngx.thread.spawn(function() return i end) end)
				s:post()
			end)
			s:wait(60)
			ngx.print(said)
		} }
	`, nil)
	for _, path := range strings.Fields("/zombies /errors /late /killed /chain /timer") {
		t.Run(path[1:], func(t *testing.T) { s.expect(t, path, "200 OK", "ok") })
	}
}
