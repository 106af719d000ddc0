package http

import (
	"encoding/base64"
	"testing"
)

const smallServer = `
server { LISTEN; server_name example.com; root SITE; default_type text/plain;
	location /gif { empty_gif; }
	location /status { stub_status; }
	location /vars { return 200 "$connections_active $connections_reading $connections_writing $connections_waiting\n"; }
	location /limit { limit_except GET { deny all; } return 200 never; }
	location /limit2/ { limit_except POST PUT { deny 127.0.0.1; } alias SITE/; }
	location /limit3/ { limit_except GET { allow 127.0.0.1; deny all; } empty_gif; }
	location /auth { auth_basic "closed $arg_r"; auth_basic_user_file SITE/users; alias SITE/a.html; }
	location /slow { auth_delay 20ms; auth_basic "closed"; auth_basic_user_file SITE/users; alias SITE/a.html; }
	location /slowany { auth_delay 20ms; satisfy any; deny all; auth_basic "closed"; auth_basic_user_file SITE/users; alias SITE/a.html; }
	location /authoff { auth_basic "closed"; auth_basic_user_file SITE/users; location /authoff/x { auth_basic off; alias SITE/a.html; } }
	location /nofile { auth_basic "closed"; auth_basic_user_file SITE/nousers; }
	location /any { satisfy any; auth_basic "closed"; auth_basic_user_file SITE/users; deny all; alias SITE/a.html; }
	location /any2 { satisfy any; auth_basic "closed"; auth_basic_user_file SITE/users; allow 127.0.0.1; deny all; alias SITE/a.html; }
}
`

// basicUsers are the users of the test's password file; the password of each is "secret".
const basicUsers = "# comment\nplain:{PLAIN}secret\nsha:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n" +
	"ssha:{SSHA}gVK8WC9YyFT1gMsQHTGCgT3sSv5zYWx0\napr1:$apr1$saltsalt$LrttParrLPdxvgutaSXWJ0:more\n" +
	"md5:$1$saltsalt$9xy1btjgzLYfb7hivXtC//\nsha256:$5$saltsalt$0IyaXrmV7.sGNS6tirgqHLqX/G.FBvgkYA.lpPdS5sA\n" +
	"sha512:$6$saltsalt$TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U0aDehy0S5knV8wiOQSpT0Y77vwPZN.Pq.H91p5hVO1\n" +
	"blow:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n" +
	"des:abNANd1rDfiNc\nyes:$y$j9T$abcdefgh$IUWJt2doU4Kf6E/JP1UkAT3S5O3Q7SSA8SJirXIlEu9\n" +
	"text:secret\nshort:s\nnone:\nodd:{x}secret\nunknown:$zz$secret\nsalt:!!NANd1rDfiNc\n"

func basic(user string) string {
	return "|Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user))
}

// TestSmallModulesAsNginx compares the modules that have one or two directives with nginx's.
func TestSmallModulesAsNginx(t *testing.T) {
	sameAnswers(t, smallServer, []string{
		"GET /gif", "HEAD /gif", "POST /gif", "POST /status", "GET /vars",
		"GET /limit", "HEAD /limit", "POST /limit", "GET /limit2/a.html", "POST /limit2/a.html", "PUT /limit2/a.html", "GET /limit3/x", "POST /limit3/x",
		"GET /auth", "GET /auth?r=x" + basic("plain:secret"), "GET /auth" + basic("plain:wrong"), "GET /auth" + basic("nobody:secret"), "GET /auth" + basic("sha:secret"), "GET /auth" + basic("sha:x"),
		"GET /auth" + basic("ssha:secret"), "GET /auth" + basic("ssha:x"), "GET /auth" + basic("apr1:secret"), "GET /auth" + basic("apr1:x"), "GET /auth" + basic("nocolon"), "GET /auth|Authorization: Bearer x",
		"GET /auth" + basic("comment:x"), "GET /auth" + basic("plain:"), "GET /authoff", "GET /authoff/x", "GET /nofile", "GET /nofile" + basic("plain:secret"),
		"GET /any", "GET /any" + basic("plain:secret"), "GET /any" + basic("plain:x"), "GET /any2", "GET /auth" + basic("md5:secret"), "GET /auth" + basic("md5:x"), "GET /auth" + basic("sha256:secret"), "GET /auth" + basic("sha256:x"),
		"GET /auth" + basic("sha512:secret"), "GET /auth" + basic("sha512:x"), "GET /auth" + basic("blow:secret"), "GET /auth" + basic("blow:x"), "GET /auth" + basic("des:secret"), "GET /auth" + basic("des:x"), "GET /auth" + basic("des:secretlonger"), "GET /auth" + basic("yes:secret"), "GET /auth" + basic("yes:x"),
		"GET /auth" + basic("text:secret"), "GET /auth" + basic("short:s"), "GET /auth" + basic("none:"), "GET /auth" + basic("odd:secret"), "GET /auth" + basic("unknown:secret"), "GET /auth" + basic("salt:secret"),
		"GET /slow", "GET /slow" + basic("plain:x"), "GET /slow" + basic("plain:secret"), "GET /slowany", "GET /slowany" + basic("plain:x"),
		"GET /auth" + basic(":secret"), "GET /auth" + basic(""),
		"GET /auth|Authorization: Basic cGxhaW46c2VjcmV0", "GET /auth|Authorization: basic   c2hhOnNlY3JldA", "GET /auth|Authorization: Basic c2hhOnNlY3JldA=junk", "POST /limit|Content-Length: 2|\nab",
	})
}

func TestStubStatus(t *testing.T) {
	ts := serve(t, `server { listen 127.0.0.1:8000; location / { stub_status; } }`)
	c := ts.dial()
	for _, requests := range []string{"1", "2"} {
		c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		c.want(okText("Active connections: 1 \nserver accepts handled requests\n 1 1 " + requests + " \nReading: 0 Writing: 1 Waiting: 0 \n"))
	}
}
