package http

import "testing"

const echoServer = `
server {
	LISTEN; server_name example.com; root SITE; default_type text/plain;
	location /a { echo a $arg_x; echo -n b; echo -n -- -n; echo; echo "c" d; }
	location /none { echo; }
	location /dup { echo_duplicate 3 ab; echo_duplicate 0 x; echo -- end; }
	location /flush { echo 1; echo_flush; echo 2; }
	location /sleep { echo_sleep 0.01; echo slept; }
	location /status { echo_status 404; echo gone; }
	location /loc { echo before; echo_location /sub?x=1; echo between; echo_location /sub x=2; echo after; }
	location /sub { echo "sub $arg_x $echo_request_uri $request_uri"; }
	location /async { echo_location_async /slow; echo mid; echo_location_async /sub x=3; echo end; }
	location /slow { echo_sleep 0.02; echo slow; }
	location /two { echo_location_async /slow; echo_location_async /slow; echo_location_async /deep; echo end; }
	location /deep { echo d1; echo_location_async /slow; echo d2; echo_location /sub x=4; echo d3; }
	location /static { echo_location /a.html; echo_location /b.txt; echo_location_async /noext; echo end; }
	location /missing { echo x; echo_location /nowhere; echo y; }
	location /gone { return 404; }
	location /sr404 { echo_location /gone; echo y; }
	location /srret { echo_location /ret; echo y; }
	location /ret { return 200 "returned\n"; }
	location /self { echo s; echo_location /ret; echo_location /rewritten; }
	location /rewritten { rewrite ^ /ret last; }
	location /exec { echo_exec /sub y=1; }
	location /execq { echo_exec /sub?x=7; }
	location /execn { echo_exec @named; }
	location @named { echo "named $uri $args"; }
	location /body { echo_read_request_body; echo_request_body; echo "[$echo_request_body]"; }
	location /subreq { echo_subrequest POST /show -q x=1 -b "hello body"; echo_subrequest_async PUT /show; echo_subrequest DELETE /show?y=2; }
	location /show { echo "$echo_request_method $request_method $args [$echo_request_body] $content_length"; }
	location /vars { echo "$echo_client_request_method $echo_response_status $echo_cacheable_request_uri"; }
	location /headers { echo -n $echo_client_request_headers; }
	location /foreach { echo_foreach_split , $arg_l; echo "item $echo_it"; echo_end; echo done; }
	location /incr { echo $echo_incr; echo $echo_incr; echo_location /incr2; echo $echo_incr; }
	location /incr2 { echo $echo_incr; }
	location /around { echo_before_body before $arg_x; echo_after_body -n after; echo hello; }
	location /ar/ { alias SITE/; echo_before_body <; echo_after_body >; }
	location /shared { set $v main; echo $v; echo_location /setv; echo $v; }
	location /setv { set $v "sub"; echo "in $v"; }
	location /access { echo_location /denied; echo ok; }
	location /denied { internal; echo "internal ok"; }
	location /if { if ($arg_a) { echo yes; } echo no; }
}
`

var echoRequests = []string{
	"GET /a?x=1", "GET /none", "GET /dup", "GET /flush", "GET /sleep", "GET /status", "GET /loc", "GET /sub?x=%20", "GET /async", "GET /two", "GET /static", "GET /missing",
	"GET /sr404", "GET /srret", "GET /self", "GET /exec", "GET /execq", "GET /execn?z", "POST /body|Content-Length: 5|\nhello", "GET /body", "GET /subreq",
	"GET /vars?a=1", "GET /headers|X: y", "GET /foreach?l=a,b,,c", "GET /foreach", "GET /incr", "GET /around?x=1", "GET /ar/a.html", "GET /ar/nix", "GET /shared", "GET /access",
	"GET /if?a=1", "GET /if", "HEAD /a", "HEAD /loc", "POST /a|Content-Length: 5|\nhello", "GET /a HTTP/1.0\r\n\r\n", "GET /loc HTTP/1.0\r\n\r\n", "GET /a\r\n",
}

// TestEchoAsNginx compares the echo module, and by it subrequests, with nginx's.
func TestEchoAsNginx(t *testing.T) { sameAnswers(t, echoServer, echoRequests, "ngx_http_echo_module") }
