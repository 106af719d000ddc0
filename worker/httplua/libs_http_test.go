package httplua_test

import (
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

func TestLibWebSocket(t *testing.T) {
	http := libs(t, "lua-resty-websocket")
	s := startEither(t, http, `location = /server { content_by_lua_block {
		local server = require "resty.websocket.server"
		local wb, err = server:new{timeout = 5000, max_payload_len = 1048576}
		if not wb then return ngx.exit(444) end
		while true do
			local data, typ, err = wb:recv_frame()
			if not data then ngx.log(ngx.ERR, "server: ", err) return end
			if typ == "close" then return wb:send_close(err, data) end
			if typ == "ping" then assert(wb:send_pong(data)) end
			if typ == "text" then assert(wb:send_text("you said " .. data)) end
			if typ == "binary" or typ == "continuation" then assert(wb:send_binary(data:reverse())) end
		end
	} }
	location / { content_by_lua_block {
		local client = require "resty.websocket.client"
		local wb = assert(client:new{timeout = 5000, max_payload_len = 1048576})
		assert(wb:connect("ws://127.0.0.1:" .. ngx.var.server_port .. "/server", {protocols = "chat", origin = "http://here"}))
		ngx.say(wb:send_text("hello"), " ", cjson{wb:recv_frame()})
		ngx.say(wb:send_ping("are you there"), " ", cjson{wb:recv_frame()})
		for _, n in ipairs{0, 125, 126, 65535, 65536, 300000} do
			local text = ("0123456789"):rep(n / 10) .. ("x"):rep(n % 10)
			wb:send_binary(text)
			ngx.say(n, " ", wb:recv_frame() == text:reverse())
		end
		local reader = ngx.thread.spawn(function() return wb:recv_frame() end)
		wb:send_text("full duplex")
		ngx.say(ngx.thread.wait(reader))
		ngx.say(wb:send_close(1000, "enough"), " ", cjson{wb:recv_frame()}, " ", wb:close())
		wb = client:new()
		wb:connect("ws://127.0.0.1:" .. ngx.var.server_port .. "/plain")
		ngx.say((wb:recv_frame()))
	} }
	location = /plain { return 200 "no web socket"; }`)
	s.expect(t, "/", "200 OK", `11 ["you said hello","text"]
19 ["are you there","pong"]
0 true
125 true
126 true
65535 true
65536 true
300000 true
trueyou said full duplextextnil
14 ["enough","close",1000] 1
nil
`)
}

func TestLibUpload(t *testing.T) {
	http := libs(t, "lua-resty-upload")
	s := startEither(t, http, `location / { content_by_lua_block {
		local upload = require "resty.upload"
		local form, err = upload:new(100)
		if not form then return ngx.say(err) end
		form:set_timeout(5000)
		local size = 0
		while true do
			local kind, res, err = form:read()
			if not kind then return ngx.say("failed: ", err) end
			if kind == "body" then size = size + #res else
				if kind == "part_end" then ngx.say(size) size = 0 end
				ngx.say(kind, " ", res and cjson(res) or "")
			end
			if kind == "eof" then break end
		end
		ngx.say("then ", (form:read()))
	} }`)
	var body bytes.Buffer
	m := multipart.NewWriter(&body)
	_ = m.SetBoundary("limit")
	f, _ := m.CreateFormFile("file", "some name.bin")
	_, _ = f.Write(bytes.Repeat([]byte("\r\n--limi"), 1000))
	_ = m.WriteField("field", "value")
	_ = m.Close()
	for _, n := range []int{1, 7, 1 << 20} { // bytes at a time
		r, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		text := fmt.Sprintf("POST / HTTP/1.0\r\nHost: h\r\nContent-Type: multipart/form-data; boundary=limit\r\nContent-Length: %d\r\n\r\n", body.Len()) + body.String()
		go func() {
			for ; text != ""; text = text[min(n, len(text)):] {
				if _, err := io.WriteString(r, text[:min(n, len(text))]); err != nil {
					t.Error(err)
					return
				}
			}
		}()
		answer, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		_, got, _ := strings.Cut(string(answer), "\r\n\r\n")
		want := `header ["Content-Disposition","form-data; name=\"file\"; filename=\"some name.bin\"","Content-Disposition: form-data; name=\"file\"; filename=\"some name.bin\""]
header ["Content-Type","application\/octet-stream","Content-Type: application\/octet-stream"]
8000
part_end 
header ["Content-Disposition","form-data; name=\"field\"","Content-Disposition: form-data; name=\"field\""]
5
part_end 
eof 
then eof
`
		if got != want {
			t.Errorf("%d bytes at a time: %s, want %s", n, got, want)
		}
	}
}

// upstreamHTTP is a server for lua-resty-http; its answers tell what it has been asked.
func upstreamHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/chunks":
		w.Header().Set("Trailer", "X-After")
		for i := range 5 {
			fmt.Fprintf(w, "chunk %d\n", i)
			w.(http.Flusher).Flush()
		}
		w.Header().Set("X-After", "trailer")
	case "/close":
		w.Header().Set("Connection", "close")
		fmt.Fprint(w, strings.Repeat("until the end ", 1000))
		w.(http.Flusher).Flush()
	case "/none":
		w.WriteHeader(204)
	case "/slow":
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	default:
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(500)
		}
		w.Header().Add("X-Twice", "one")
		w.Header().Add("X-Twice", "two")
		fmt.Fprintf(w, "%s %s %s %d %v", r.Method, r.URL, r.Header.Get("X-From"), len(body), r.TransferEncoding)
	}
}

func TestLibHTTP(t *testing.T) {
	directives := libs(t, "lua-resty-http")
	dir := t.TempDir()
	root := certificate(t, nil, ca("root"))
	good := certificate(t, root, leaf("good.test"))
	writePEM(t, dir+"/root.crt", "CERTIFICATE", root.cert.Raw)
	plain := httptest.NewServer(http.HandlerFunc(upstreamHTTP))
	defer plain.Close()
	secure := httptest.NewUnstartedServer(http.HandlerFunc(upstreamHTTP))
	secure.TLS = good.config()
	secure.StartTLS()
	defer secure.Close()
	s := startEither(t, directives+"lua_ssl_trusted_certificate "+dir+"/root.crt;\n", `location = /test { content_by_lua_block {
		local http = require "resty.http"
		local function show(res, err) if not res then return ngx.say(tostring(err)) end ngx.say(res.status, " ", #res.body, " ", res.body:sub(1, 60)) return res end
		local plain, secure = "`+plain.URL+`", "`+secure.URL+`"
		local httpc = http.new()
		httpc:set_timeouts(5000, 5000, 5000)
		local res = show(httpc:request_uri(plain .. "/get?a=1", {query = {b = 2}, headers = {["X-From"] = "Lua"}}))
		ngx.say(cjson(res.headers["X-Twice"]), " ", res.headers["x-twice"][2])
		show(httpc:request_uri(plain, {method = "POST", body = ("x"):rep(100000)}))
		local n = 0
		show(httpc:request_uri(plain, {method = "PUT", headers = {["Transfer-Encoding"] = "chunked"}, body = function() n = n + 1 if n < 3 then return ("%x\r\n%s\r\n"):format(n * 1000, ("y"):rep(n * 1000)) end return n == 3 and "0\r\n\r\n" or nil end}))
		for _, path in ipairs{"/chunks", "/close", "/none"} do show(httpc:request_uri(plain .. path)) end
		assert(httpc:connect{scheme = "http", host = "127.0.0.1", port = tonumber(plain:match("%d+$"))})
		for i = 1, 3 do
			local res = assert(httpc:request{path = "/chunks"})
			local reader, sizes = res.body_reader, {}
			repeat
				local data = assert(reader(5) or true)
				if data ~= true then sizes[#sizes + 1] = #data end
			until data == true
			res:read_trailers()
			ngx.say(table.concat(sizes, ","), " ", res.headers["X-After"])
		end
		local responses = assert(httpc:request_pipeline{{path = "/one"}, {path = "/two"}})
		for _, r in ipairs(responses) do ngx.say(r.status, " ", r:read_body()) end
		ngx.say(httpc:set_keepalive(), " ", httpc:get_reused_times())
		httpc = http.new()
		assert(httpc:connect{scheme = "http", host = "127.0.0.1", port = tonumber(plain:match("%d+$"))})
		ngx.say(httpc:get_reused_times() > 0, " ", httpc:close())
		httpc:set_timeouts(5000, 5000, 50)
		show(httpc:request_uri(plain .. "/slow"))
		httpc:set_timeouts(5000, 5000, 5000)
		for i = 1, 2 do show(httpc:request_uri(secure .. "/tls", {ssl_server_name = "good.test", headers = {["X-From"] = "TLS"}})) end
		show(http.new():request_uri(secure .. "/tls", {ssl_server_name = "other.test", ssl_verify = false}))
		show(httpc:request_uri("http://127.0.0.1:1/"))
	} }
	location = /name { content_by_lua_block { ngx.say(require "resty.http".new():request_uri("`+secure.URL+`/tls", {ssl_server_name = "other.test"})) } }
	location / { content_by_lua_block {
		local httpc = require "resty.http".new()
		assert(httpc:connect{scheme = "http", host = "127.0.0.1", port = `+port(plain.Listener.Addr())+`})
		httpc:proxy_response(assert(httpc:request{method = ngx.req.get_method(), path = ngx.var.request_uri, headers = {["X-From"] = "proxy", ["Content-Length"] = ngx.var.http_content_length}, body = httpc:get_client_body_reader(1000)}))
		httpc:set_keepalive()
	} }`)
	const five = "5,3,5,3,5,3,5,3,5,3 nil\n"
	s.expect(t, "/test", "200 OK", `200 21 GET /get?b=2 Lua 0 []
["one","two"] two
200 17 POST /  100000 []
200 21 PUT /  3000 [chunked]
200 40 chunk 0
chunk 1
chunk 2
chunk 3
chunk 4

200 14000 until the end until the end until the end until the end unti
204 0 `+"\n"+five+five+five+`200 GET /one  0 []
200 GET /two  0 []
1 nilclosed
true 1
timeout
200 17 GET /tls TLS 0 []
200 17 GET /tls TLS 0 []
200 14 GET /tls  0 []
connection refused
`)
	if !againstNginx() { // an assertion of the lua-resty-core that belongs to it fails
		s.expect(t, "/name", "200 OK", "nilcertificate host mismatch\n")
	}
	r, err := http.Post("http://"+s.addr+"/proxied", "text/plain", strings.NewReader(strings.Repeat("z", 50000)))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if body, err := io.ReadAll(r.Body); err != nil || string(body) != "POST /proxied proxy 50000 []" || r.Header["X-Twice"][1] != "two" {
		t.Errorf("%q %v %v", body, r.Header, err)
	}
}

// TestLibLogger runs the public logger, which flushes by timers.
func TestLibLogger(t *testing.T) {
	http := libs(t, "lua-resty-logger-socket")
	var mu sync.Mutex
	var got strings.Builder
	peer := listenPeer(t, func(c *net.TCPConn) {
		b := make([]byte, 4096)
		for {
			n, err := c.Read(b)
			mu.Lock()
			got.Write(b[:n])
			mu.Unlock()
			if err != nil {
				return
			}
		}
	})
	s := startEither(t, http, `location / {
		content_by_lua_block { ngx.say("ok") }
		log_by_lua_block {
			local logger = require "resty.logger.socket"
			if not logger.initted() then assert(logger.init{host = "127.0.0.1", port = `+peer+`, flush_limit = 100, drop_limit = 10000, pool_size = 5}) end
			local n, err = logger.log(ngx.var.uri .. " was asked for\n")
			if err then ngx.log(ngx.ERR, err) end
		}
	}`)
	want := ""
	for i := range 20 {
		path := fmt.Sprintf("/page-%02d", i)
		s.expect(t, path, "200 OK", "ok\n")
		want += path + " was asked for\n"
	}
	// What is below the limit stays with the library.
	waitUntil(t, "lines come", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return got.Len() > len(want)-150
	})
	mu.Lock()
	defer mu.Unlock()
	if !strings.HasPrefix(want, got.String()) {
		t.Errorf("%q", got.String())
	}
}
