package http

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// captureAll runs subrequests for the URIs of the query, all at once, and answers with what they say.
func captureAll(r *Request, o SubrequestOptions) int {
	o.Capture = true
	var all []*Request
	for uri := range bytes.SplitSeq(r.Args, []byte{','}) {
		path, args, _ := bytes.Cut(uri, []byte{'?'})
		sr, err := r.Subrequest(path, args, &o)
		if err != nil {
			return r.SendResponse(200, "text/plain", []byte(err.Error()))
		}
		all = append(all, sr)
	}
	var out []byte
	for _, sr := range all {
		if sr.Wait() != nil {
			return Error
		}
		body, truncated := sr.CapturedBody()
		out = fmt.Appendf(out, "%d %v %q %s;", sr.CapturedStatus(), truncated, body, sr.HeadersOut.ContentType)
	}
	return r.SendResponse(200, "text/plain", out)
}

func init() {
	testHandlers["capture"] = func(r *Request) int { return captureAll(r, SubrequestOptions{}) }
	testHandlers["capture_post"] = func(r *Request) int {
		return captureAll(r, SubrequestOptions{Method: MethodPost, MethodName: "POST", Body: []byte("given")})
	}
	testHandlers["capture_body"] = func(r *Request) int {
		if err := r.ReadBody(); err != nil {
			return StatusOf(err)
		}
		return captureAll(r, SubrequestOptions{})
	}
	testHandlers["capture_vars"] = func(r *Request) int {
		r.SetVariable("v", []byte("mine"))
		var out []byte
		for _, mode := range []VarsMode{NewVars, CopyVars, ShareVars} {
			sr, err := r.Subrequest([]byte("/setv"), nil, &SubrequestOptions{Capture: true, Vars: mode, Prepare: func(sr *Request) {
				sr.SetVariable("w", []byte("given"))
			}})
			if err != nil || sr.Wait() != nil {
				return Error
			}
			body, _ := sr.CapturedBody()
			v, _ := r.Variable("v")
			out = fmt.Appendf(out, "%s %s;", body, v)
		}
		return r.SendResponse(200, "text/plain", out)
	}
	testHandlers["nested"] = func(r *Request) int {
		sr, err := r.Subrequest(r.URI, nil, &SubrequestOptions{Capture: true})
		if err != nil {
			return r.SendResponse(200, "text/plain", []byte(err.Error()))
		}
		if sr.Wait() != nil {
			return Error
		}
		body, _ := sr.CapturedBody()
		return r.SendResponse(200, "text/plain", append(body, '.'))
	}
}

func TestCapture(t *testing.T) {
	ts := serve(t, `server { listen 127.0.0.1:8000; root DIR; error_page 410 /page;
		location /capture { test_handler capture; }
		location /post { test_handler capture_post; }
		location /share { test_handler capture_body; }
		location /vars { test_handler capture_vars; }
		location /setv { return 200 "${v}[$w]$copy"; set $v x; set $w x; }
		location /v2 { set $copy $v; }
		location /nested { test_handler nested; }
		location /sleep { test_handler sleep; }
		location /page { return 200 "page"; }
		location /body { test_handler body; }
		location /echo { echo "$echo_request_method $args $content_length $echo_request_body"; }
		location /mixed { echo a; echo_location /echo?x; echo_location_async /sleep?1ms; echo b; }
		location /deny { deny all; return 204; }
		location /gone { return 410; }
		location /moved { rewrite ^ /echo?moved last; }
		location /internal { internal; return 200 "inside"; } }`, testModule)
	c := ts.dial()
	get := func(uri, want string) {
		t.Helper()
		c.send("GET " + uri + " HTTP/1.1\r\nHost: x\r\n\r\n")
		c.want(okText(want))
	}
	get("/capture?/echo?a=1,/internal,/moved,/nothing,/gone,/deny,/mixed",
		`200 false "GET a=1  \n" text/plain;200 false "inside" text/plain;200 false "GET moved  \n" text/plain;`+
			`404 true "" ;410 true "" ;204 true "" text/plain;200 false "a\nGET x  \nsleptb\n" text/plain;`)
	get("/capture?/sleep?30ms,/sleep?1ms,/echo", `200 false "slept" text/plain;200 false "slept" text/plain;200 false "GET   \n" text/plain;`)
	get("/post?/echo?q", `200 false "POST q 5 given\n" text/plain;`)
	get("/vars", "[given] mine;mine[given] mine;mine[given] mine;")
	c.send("POST /share?/body,/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello")
	c.want(okText(`200 false "hello" text/plain;200 false "GET  5 hello\n" text/plain;`))
	get("/nested", ErrSubrequests.Error()+strings.Repeat(".", maxSubrequests+1))
	ts.errorLog(`subrequests cycle while processing "/nested", client: 127.0.0.1, server: , request: "GET /nested HTTP/1.1", subrequest: "/nested"`)
}

// TestSubrequestAfterAbort has the client go away while subrequests run: all of it ends, and the connection is free.
func TestSubrequestAfterAbort(t *testing.T) {
	ts := serve(t, `server { listen 127.0.0.1:8000;
		location / { echo start; echo_flush; echo_location_async /slow; echo_duplicate 100000 0123456789; echo end; }
		location /slow { test_handler sleep; } }`, testModule)
	c := ts.dial()
	c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	_, _ = c.r.Peek(1)
	_ = c.Conn.Close()
	for {
		active := 0
		ts.do(func() { active = ts.s.Active() })
		if active == 0 {
			return
		}
	}
}

// TestResetTimedOut tells a reset connection from one that is only closed.
func TestResetTimedOut(t *testing.T) {
	for _, on := range []bool{true, false} {
		value := map[bool]string{true: "on", false: "off"}[on]
		ts := serve(t, `client_body_timeout 1ms; reset_timedout_connection `+value+`;
			server { listen 127.0.0.1:8000; location / { test_handler body; } }`, testModule)
		c := ts.dial()
		c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
		_, err := c.r.ReadByte()
		if reset := errors.Is(err, syscall.ECONNRESET); reset != on {
			t.Errorf("reset_timedout_connection %s: %v", value, err)
		}
	}
}

// TestSendfileCork sends a file by all ways there are, and looks whether the socket is left corked.
func TestSendfileCork(t *testing.T) {
	text := strings.Repeat("0123456789", 20000)
	for _, settings := range []string{"", "sendfile on;", "sendfile on; tcp_nopush on;"} {
		ts := serve(t, settings+`server { listen 127.0.0.1:8000; root DIR; }`)
		if err := os.WriteFile(ts.dir+"/big", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c := ts.dial()
		c.send("GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
		if got := c.read(); !strings.HasSuffix(got, "\r\n\r\n"+text) {
			t.Errorf("%q: %d bytes", settings, len(got))
		}
		ts.do(func() {
			if ts.s.idle.first == nil {
				return // not in keep-alive yet: it is uncorked on the way there
			}
			if v, err := unix.GetsockoptInt(ts.s.idle.first.FD.Sysfd, unix.IPPROTO_TCP, unix.TCP_CORK); v != 0 || err != nil {
				t.Errorf("%q: the idle connection is corked: %d, %v", settings, v, err)
			}
		})
	}
}
