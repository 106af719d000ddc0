package http

import "testing"

const moreServer = `
more_set_headers "X-Http: h";
server { LISTEN; server_name example.com; root SITE; default_type text/plain;
	more_set_headers "X-Srv: s" "X-Two:  two ";
	location /set { more_set_headers "X-A: a-$arg_a" "X-Srv: changed" "Server: mine" "Content-Type: text/x; charset=y"; return 200 ok; }
	location /status { more_set_headers -s "404 403" "X-S: bad"; more_set_headers -s 200 "X-S: good"; if ($arg_f) { return 404; } return 200 ok; }
	location /type { more_set_headers -t "text/html text/plain" "X-T: yes"; more_set_headers -t image/gif "X-T: no"; return 200 ok; }
	location /both { more_set_headers -t text/html -s 404 "X-B: b"; return 404; }
	location /clear { add_header X-Foo-One 1; add_header X-Foo-Two 2; add_header Other o; more_clear_headers "X-H*" Server; return 200 ok; }
	location /static { alias SITE; more_clear_headers ETag Last-Modified Accept-Ranges; more_set_headers "Cache-Control: none"; }
	location /type2 { more_clear_headers Content-Type; return 200 ok; }
	location /nolen { more_clear_headers Content-Length; return 200 ok; }
	location /date { more_clear_headers Date "Server:"; return 200 ok; }
	location /loc { more_set_headers "Location: /there"; return 301 /x; }
	location /empty { more_set_headers "X-Srv:" "X-Http"; return 200 ok; }
	location /in { more_set_input_headers "X-In: new-$arg_a" "Host: other.example:99" "User-Agent: ua"; return 200 "$http_x_in $http_host $host $http_user_agent\n"; }
	location /in2 { more_set_input_headers "X-In: new" "User-Agent: ua"; echo "$http_x_in $http_host $host $http_user_agent"; }
	location /inr { more_set_input_headers -r "X-In: repl"; echo "[$http_x_in]"; }
	location /incl { more_clear_input_headers X-In "X-Pre*" "User-Agent"; echo "[$http_x_in][$http_x_prefix][$http_user_agent]"; }
	location /int { more_set_input_headers -t "text/x" "X-In: typed"; echo "[$http_x_in]"; }
	location /inlen { more_set_input_headers "Content-Length: 2"; echo "[$http_content_length][$content_length]"; }
	location /inhost { more_set_input_headers "Host: Other.Example:99"; echo "$http_host $host"; }
	location /echo { echo hi; more_set_headers "X-E: e"; }
	location /sub { echo_location /echo; more_set_headers "X-U: u"; }
}
`

var moreRequests = []string{
	"GET /set?a=1", "GET /status", "GET /status?f=1", "GET /type", "GET /both", "GET /clear", "GET /static/a.html", "GET /static/nix", "GET /type2", "GET /nolen", "GET /date", "GET /loc", "GET /empty",
	"GET /in?a=1|X-In: old", "GET /in2|X-In: old|X-In: older", "GET /inr", "GET /inr|X-In: old", "GET /incl|X-In: 1|X-Prefix: 2|User-Agent: 3", "GET /int|Content-Type: text/x", "GET /int|Content-Type: text/y",
	"POST /inlen|Content-Length: 2|\nab", "GET /inhost", "GET /echo", "GET /sub",
}

// TestHeadersMoreAsNginx compares the headers-more module with nginx's.
func TestHeadersMoreAsNginx(t *testing.T) {
	sameAnswers(t, moreServer, moreRequests, "ngx_http_echo_module", "ngx_http_headers_more_filter_module")
}
