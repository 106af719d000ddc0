package main

import (
	"fmt"
	"math"
	"strings"
)

// apiCase is a piece of the Lua API: code that a request runs rounds times, with
// what it needs before in init.
type apiCase struct {
	name   string
	rounds int
	code   string
	init   string // once for each request
	global string // in init_by_lua
	query  string
	script string // of wrk
	extra  string // directives of its location
}

const apiPrefix = "API: "

// apiHeaders is what a browser sends.
const apiHeaders = `
wrk.headers["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
wrk.headers["Accept"] = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
wrk.headers["Accept-Language"] = "en-US,en;q=0.5"
wrk.headers["Accept-Encoding"] = "gzip, deflate, br, zstd"
wrk.headers["Referer"] = "http://www.example.com/from/here?a=b"
wrk.headers["Cookie"] = "session=0123456789abcdef0123456789abcdef; theme=dark; last=42"
wrk.headers["X-Request-Id"] = "7f1c2b4e-1111-2222-3333-444455556666"
`

const apiForm = `
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"
wrk.body = "name=John+Doe&mail=john%40example.com&list=1&list=2&list=3&text=" .. string.rep("some+text+", 10)
`

const apiQuery = "?name=perilune&list=1&list=2&x=%41%42&empty=&flag&page=12&sort=desc"

const apiSubjects = `
short = "GET /item/4711/detail?from=2024-01-31 HTTP/1.1"
long = ("lorem ipsum dolor sit amet, consectetur adipiscing elit; "):rep(70) .. "mail to john.doe@example.com now"
`

const apiObject = `
cjson = require "cjson"
object = { id = 4711, name = "a name", price = 12.5, tags = { "red", "green", "blue" }, active = true,
	owner = { first = "John", last = "Doe", mail = "john.doe@example.com" }, lines = {} }
for i = 1, 10 do object.lines[i] = { sku = "item-" .. i, count = i, price = i * 1.25, note = "with \"quotes\" and\nlines" } end
json = cjson.encode(object)
`

var apiCases = []apiCase{
	{name: "get_headers", rounds: 10, script: apiHeaders, code: `n = n + #ngx.req.get_headers()["user-agent"]`},
	{name: "get_uri_args", rounds: 10, query: apiQuery, code: `n = n + #ngx.req.get_uri_args().name`},
	{name: "get_post_args", rounds: 10, script: apiForm, init: `ngx.req.read_body()`, code: `n = n + #ngx.req.get_post_args().name`},
	{name: "get_method, start_time, http_version", rounds: 10, code: `n = n + #ngx.req.get_method() + ngx.req.http_version() + ngx.req.start_time()`},
	{name: "request header writes", rounds: 5, script: apiHeaders, code: `ngx.req.set_header("X-One", "1") ngx.req.set_header("X-Two", i) ngx.req.clear_header("X-One")`},
	{name: "set_uri, set_uri_args", rounds: 5, code: `ngx.req.set_uri("/other") ngx.req.set_uri_args({ a = 1, b = "x y" })`},
	{name: "header writes", rounds: 5, code: `ngx.header["X-Number"] = i ngx.header.x_text = "some text" ngx.header["Cache-Control"] = "no-cache" ngx.header["Set-Cookie"] = { "a=1", "b=2" }`},
	{name: "header reads", rounds: 10, init: `ngx.header["X-Text"] = "some text" ngx.header.content_type = "text/html"`, code: `n = n + #ngx.header["X-Text"] + #ngx.header.content_type`},
	{name: "say of many pieces", rounds: 10, code: `ngx.say("<li>", i, "</li>", true, nil, { "a", { "b", 1.5 }, "c" })`},
	{name: "print of 100 pieces", rounds: 100, code: `ngx.print("piece ", i, "\n")`},
	{name: "ngx.var reads", rounds: 10, query: apiQuery, script: apiHeaders, code: `n = n + #ngx.var.uri + #ngx.var.remote_addr + #ngx.var.http_user_agent + #ngx.var.arg_name + #ngx.var.host`},
	{name: "ngx.var writes", rounds: 10, extra: `set $value "";`, code: `ngx.var.value = i n = n + #ngx.var.value`},
	{name: "ngx.ctx", rounds: 10, code: `ngx.ctx.count = (ngx.ctx.count or 0) + 1`},
	{name: "ngx.re.match, short", rounds: 20, global: apiSubjects, code: `n = n + #ngx.re.match(short, [[/item/(\d+)/(\w+)]], "jo")[1]`},
	{name: "ngx.re.match, 4 KiB", rounds: 5, global: apiSubjects, code: `n = n + #ngx.re.match(long, [[([\w.]+)@([\w.]+)]], "jo")[1]`},
	{name: "ngx.re.find, short", rounds: 20, global: apiSubjects, code: `n = n + ngx.re.find(short, [[\d{4}-\d\d-\d\d]], "jo")`},
	{name: "ngx.re.find, 4 KiB", rounds: 5, global: apiSubjects, code: `n = n + ngx.re.find(long, [[john\.(doe|smith)]], "jo")`},
	{name: "ngx.re.gmatch, short", rounds: 10, global: apiSubjects, code: `for m in ngx.re.gmatch(short, [[\d+]], "jo") do n = n + #m[0] end`},
	{name: "ngx.re.gsub, short", rounds: 20, global: apiSubjects, code: `n = n + #ngx.re.gsub(short, [[\d+]], "<$0>", "jo")`},
	{name: "ngx.re.gsub, 4 KiB", rounds: 1, global: apiSubjects, code: `n = n + #ngx.re.gsub(long, [[\b(\w)(\w+)]], "$2$1", "jo")`},
	{name: "cjson.encode", rounds: 5, global: apiObject, code: `n = n + #cjson.encode(object)`},
	{name: "cjson.decode", rounds: 5, global: apiObject, code: `n = n + cjson.decode(json).id`},
	{name: "base64", rounds: 20, global: apiSubjects, code: `n = n + #ngx.decode_base64(ngx.encode_base64(short))`},
	{name: "md5, short", rounds: 20, global: apiSubjects, code: `n = n + #ngx.md5(short)`},
	{name: "md5, 4 KiB", rounds: 2, global: apiSubjects, code: `n = n + #ngx.md5(long)`},
	{name: "sha1_bin, hmac_sha1, crc32", rounds: 10, global: apiSubjects, code: `n = n + #ngx.sha1_bin(short) + #ngx.hmac_sha1("key", short) + ngx.crc32_short(short)`},
	{name: "escape_uri, unescape_uri", rounds: 20, global: apiSubjects, code: `n = n + #ngx.unescape_uri(ngx.escape_uri(short))`},
	{name: "encode_args, decode_args", rounds: 10, code: `n = n + #ngx.decode_args(ngx.encode_args({ a = 1, b = "x y", c = true })).b`},
	{name: "now, time, http_time, today", rounds: 20, code: `n = n + ngx.now() + ngx.time() + #ngx.http_time(ngx.time()) + #ngx.today()`},
	{name: "resty.lrucache", rounds: 20, global: `cache = require "resty.lrucache".new(200)`, code: `cache:set(i, n, 60) n = n + cache:get(i)`},
	{name: "ngx.timer.at", rounds: 1, global: `function tick() end`, code: `assert(ngx.timer.at(0, tick, i))`},
	{name: "thread spawn and wait", rounds: 5, global: `function light(a) return a end`, code: `local ok, r = ngx.thread.wait(ngx.thread.spawn(light, i)) n = n + r`},
	{name: "coroutine create, resume, yield", rounds: 5, global: `function body(a) coroutine.yield(a) return a end`,
		code: `local co = coroutine.create(body) coroutine.resume(co, i) coroutine.resume(co) n = n + 1`},
	{name: "semaphore", rounds: 5, global: `semaphore = require "ngx.semaphore" function poster(s) s:post() end`, init: `local sema = semaphore.new()`,
		code: `ngx.thread.spawn(poster, sema) assert(sema:wait(1)) sema:post() assert(sema:wait(1))`},
	{name: "sleep(0)", rounds: 2, code: `ngx.sleep(0)`},
	{name: "capture of a Lua location", rounds: 2, code: `n = n + #ngx.location.capture("/hello").body`},
	{name: "capture_multi of two", rounds: 1, code: `local a, b = ngx.location.capture_multi{ { "/hello" }, { "/return" } } n = n + #a.body + #b.body`},
	{name: "exec", rounds: 1, code: `ngx.exec("/hello")`},
	{name: "redirect", rounds: 1, code: `ngx.redirect("/hello?x=1")`},
	{name: "log of a level that is off", rounds: 20, code: `ngx.log(ngx.INFO, "value ", i, " of ", n)`},
}

// apiBenchCases are the cases for the runner, apiLocations and apiGlobals their part of the configuration.
func apiBenchCases() (list []benchCase) {
	for i, c := range apiCases {
		list = append(list, benchCase{name: apiPrefix + c.name, path: fmt.Sprintf("/api-%d%s", i, c.query), connections: 50, script: c.script})
	}
	return list
}

func apiLocations() string {
	var b strings.Builder
	for i, c := range apiCases {
		fmt.Fprintf(&b, "location = /api-%d {\n%s\ncontent_by_lua_block {\nlocal n = 0\n%s\nfor i = 1, %d do %s end\nngx.say(n)\n}\n}\n",
			i, c.extra, c.init, c.rounds, c.code)
	}
	return b.String()
}

func apiGlobals() string {
	seen := make(map[string]bool)
	var b strings.Builder
	for _, c := range apiCases {
		if !seen[c.global] {
			seen[c.global] = true
			b.WriteString(c.global + "\n")
		}
	}
	return b.String()
}

// geometricMean of the ratios of the cases whose names begin with prefix; ok is false if there are none.
func geometricMean(cases []caseResult, prefix string) (mean, worst float64, ok bool) {
	sum, n := 0.0, 0
	for _, c := range cases {
		if strings.HasPrefix(c.name, prefix) {
			r := c.ours.cpu / c.peers.cpu
			sum += math.Log(r)
			worst = max(worst, r)
			n++
		}
	}
	return math.Exp(sum / float64(n)), worst, n > 0
}
