package http

import (
	"os"
	"strings"
	"testing"
)

const detailsServer = `
map $http_x_host $byhost { hostnames; default none; example.com exact; .example.org dot; *.example.net wild; www.example.* tail; example.* tail2; ~^re\d+\.example\.com$ re; "" empty; volatile; }
map $arg_m $incl { default 0; include SITE/map.inc; zz last; }
map "$arg_a|$arg_b" $two { ~^(?<first>[^|]*)\|(?<second>.*)$ "$second-$first"; }
map $arg_k $keep { default "$arg_v"; ~(.) "$1$arg_v"; }
map $keep $chain { ~^x "chained $keep"; default "no $keep"; }
geo $arg_ip $geor { ranges; default none; 10.0.0.0-10.0.0.255 one; 10.0.0.100-10.0.0.110 inner; 10.0.1.0-10.0.2.255 two; include SITE/ranges.inc; delete 10.0.2.128-10.0.2.255; 192.168.1.1-192.168.1.1 single; }
geo $arg_ip $geon { default none; 10.0.0.0/8 eight; 10.1.0.0/16 sixteen; 10.1.1.1 host; 0.0.0.0/0 all; delete 10.1.0.0/16; 10.2.0.0/16 two; 10.2.0.0/16 twice; 2001:db8::/32 six; include SITE/geo.inc; }
log_format sub '$uri|$status|$request|$subrequest';
split_clients "${remote_addr}$arg_s" $part { 0.5% a; 33.33% b; 10% c; * ""; }
server { LISTEN; server_name example.com alias.example; root SITE; default_type text/plain; log_subrequest on;
	location = /map { return 200 "$byhost|$incl|$two|$first|$second|$keep|$chain\n"; }
	location = /geo { return 200 "$geor|$geon\n"; }
	location = /part { return 200 "[$part]\n"; }
	location /redir/ { location /redir/port { port_in_redirect off; rewrite ^ /x permanent; } location /redir/abs { absolute_redirect off; rewrite ^ /x?y permanent; } location /redir/name { server_name_in_redirect on; rewrite ^ /x redirect; } location /redir/all { server_name_in_redirect on; port_in_redirect off; return 302 /x; } return 303 /else; }
	location /dirs/ { absolute_redirect off; alias SITE/; }
	location /dirs2/ { server_name_in_redirect on; alias SITE/; }
	location /dirs3/ { port_in_redirect off; alias SITE/; }
	location /try/code { try_files /nix =418; }
	location /try/named { try_files /nix @named; error_page 410 @other; }
	location /try/dir { try_files $uri/ /sub/ =404; }
	location /try/slash { try_files /sub /two/ /a.html; }
	location /try/vars { set $where b.txt; try_files /nix/$where /$where =404; }
	location /try/args { try_files /nix /map?m=$arg_z; }
	location /try/pages { error_page 404 = @named; try_files /nix =404; }
	location /try/alias/ { alias SITE/other/; try_files $uri /nix @named; }
	location ~ ^/try/re/(.*)$ { alias SITE/; try_files /$1 /nix =404; }
	location ~ ^/try/re2/(?<n>.*)$ { try_files /$n /sub/$n =404; }
	location /try/last { try_files /nix /try/again; }
	location /try/again { try_files /nix2 /a.html =410; }
	location /try/internal { try_files /nix /inside; }
	location /inside { internal; return 200 "inside $uri\n"; }
	location @named { add_header X-Named "$uri $status" always; if ($arg_c) { return 410 "gone\n"; } return 200 "named $uri\n"; }
	location @other { return 200 "other $uri $status\n"; }
	location /err/deny { error_page 403 @named; deny all; }
	location /err/auth { error_page 401 @other; auth_basic x; auth_basic_user_file SITE/users; }
	location /err/limit { error_page 405 = @other; limit_except POST { deny all; } }
	location /err/post { error_page 405 =200 /a.html; }
	location /err/rec { recursive_error_pages on; error_page 404 /err/rec2; return 404; }
	location /err/rec2 { error_page 410 @named; return 410; }
	location /err/norec { error_page 404 /err/norec2; return 404; }
	location /err/norec2 { error_page 410 @named; return 410; }
	location /err/self { error_page 404 /err/self/nix; }
	location /err/big { client_max_body_size 1; error_page 413 @other; }
	location /err/url { error_page 404 =301 http://there/$uri?$args; error_page 403 https://there/; if ($arg_f) { return 403; } return 404; }
	location /err/args { error_page 404 /map?m=a&$args; return 404; }
	location /err/echo { error_page 404 = /err/echo2; return 404; }
	location /err/echo2 { echo "echo $uri $request_method"; }
	location /err/head { error_page 404 /a.html; more_set_headers "X-More: $status"; return 404; }
	location /if/nested { set $o out; if ($arg_a) { set $o in; } location /if/nested/deep { set $o deep; if ($arg_b) { set $o deepif; add_header X-If b; } return 200 "$o\n"; } return 200 "$o\n"; }
	location /if/two { if ($arg_a) { add_header X-A a; } if ($arg_b) { add_header X-B b; } if ($arg_c) { return 200 "c\n"; } alias SITE/a.html; }
	location /if/root { if ($arg_a) { root SITE/sub; } try_files /index.html =404; }
	location /if/type { if ($arg_a) { expires 1h; gzip off; limit_rate 1m; } alias SITE/a.html; }
	location /if/rewrite { if ($arg_a = x) { rewrite ^ /map?m=zz last; } if ($arg_a != "") { rewrite ^ /if/target break; } return 200 "none\n"; }
	location /if/target { return 200 "target\n"; }
	location /if/neg { set $r ""; if ($arg_a !~ "^x") { set $r "$r!x"; } if ($arg_a !~* "^Y") { set $r "$r!y"; } if (!-f SITE/$arg_f) { set $r "$r!f"; } if (!-d SITE/$arg_f) { set $r "$r!d"; } if (!-e SITE/$arg_f) { set $r "$r!e"; } if (!-x SITE/$arg_f) { set $r "$r!x2"; } return 200 "$r\n"; }
	location /if/cookie { if ($http_cookie ~* "id=([^;]+)(?:;|$)") { set $id $1; } return 200 "[$id]\n"; }
	location /set/vars { set $a "x${arg_a}y"; set $b $a$a; set $args "q=$b"; return 200 "$b $args $arg_q $query_string $is_args\n"; }
	location /set/uri { rewrite ^/set/uri/(.*)$ /set/target/$1?a=$1&b=${uri} last; }
	location /set/target { return 200 "$uri|$args|$request_uri|$document_uri\n"; }
	location /vars { return 200 "$request_method $scheme $server_protocol $server_name $host $hostname_none $http_host $remote_user|$content_type|$content_length|$request_length|$is_args|$https|$nginx_version_none|$connection_requests|$pipe|$request_completion|$binary_remote_addr|$document_root|$request_filename|$sent_http_x|$cookie_a|$arg_a|$http_x_y|$realpath_root|$limit_rate|$proxy_protocol_addr|$tcpinfo_none\n"; }
	location /none { set $hostname_none ""; set $nginx_version_none ""; set $tcpinfo_none ""; }
	location /index/a/ { alias SITE/; index nix.html a.html; }
	location /index/b/ { alias SITE/; index nix$arg_i /set/target; }
	location /index/c/ { alias SITE/other/; index deep/f.jpg; }
	location /index/d/ { alias SITE/none/; index nix.html; autoindex off; }
	location /types/ { types { } default_type x/y; alias SITE/; }
	location /types2/ { types { a/b html; c/d txt gif; } alias SITE/; }
	location /types3/ { include SITE/types.inc; alias SITE/; }
	location /etag/ { etag off; if_modified_since off; alias SITE/; }
	location /expires/map { expires $arg_e; return 200 x; }
	location /expires/at { expires @0h; return 304; }
	location /expires/mod/ { expires modified +1y; alias SITE/; }
	location /head/dup { add_header X-A 1; add_header X-A 2; add_header Vary Accept; add_header X-Empty ""; add_header Content-Length 5; add_header Last-Modified ""; return 200 "x"; }
	location /head/inherit { add_header X-Outer 1; location /head/inherit/in { return 200 x; } location /head/inherit/own { add_header X-Own 1; return 200 x; } return 200 x; }
	location /head/date { add_header Date x; add_header Server y; add_header Connection z; add_header Transfer-Encoding w; return 200 x; }
	location /merge//slash { return 200 never; }
	location /merge/slash { return 200 "$uri $request_uri\n"; }
}
`

var detailsRequests = func() (list []string) {
	for _, h := range []string{"example.com", "EXAMPLE.com", "example.org", "a.example.org", "a.b.example.net", "example.net", "www.example.com", "www.example.co.uk", "example.xyz", "re12.example.com", "rex.example.com", "example.com.", ".", "..", "", "x"} {
		list = append(list, "GET /map|X-Host: "+h)
	}
	for _, q := range []string{"m=a", "m=B", "m=zz", "m=c.d", "m=~t", "m=nix", "a=1&b=2", "a=&b=", "k=x&v=1", "k=xy&v=2", "v=9", "k=%78"} {
		list = append(list, "GET /map?"+q)
	}
	for _, ip := range []string{"10.0.0.0", "10.0.0.99", "10.0.0.100", "10.0.0.110", "10.0.0.111", "10.0.0.255", "10.0.1.0", "10.0.2.127", "10.0.2.128", "10.0.3.0", "192.168.1.1", "192.168.1.2", "172.16.0.1", "172.17.0.1", "10.1.1.1", "10.1.2.3", "10.2.3.4", "11.0.0.1", "255.255.255.255", "0.0.0.0", "2001:db8::1", "::1", "::ffff:10.1.1.1", "x", "", "1.2.3", "010.0.0.1"} {
		list = append(list, "GET /geo?ip="+ip)
	}
	for _, s := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n"} {
		list = append(list, "GET /part?s="+s)
	}
	for _, uri := range []string{"/redir/port", "/redir/abs", "/redir/name", "/redir/all", "/redir/x", "/dirs/sub", "/dirs/sub?a=b", "/dirs2/sub", "/dirs3/sub", "/try/code", "/try/named", "/try/named?c=1", "/try/dir", "/try/slash", "/try/vars", "/try/args?z=a", "/try/pages", "/try/alias/deep/f.jpg", "/try/alias/nix", "/try/re/a.html", "/try/re/nix", "/try/re/sub/", "/try/re2/index.html", "/try/re2/nix", "/try/last", "/try/internal", "/inside",
		"/err/deny", "/err/deny?c=1", "/err/auth", "/err/limit", "/err/post", "/err/rec", "/err/norec", "/err/self", "/err/url?a=b", "/err/url?f=1", "/err/args?x=y", "/err/echo", "/err/head", "/if/nested", "/if/nested?a=1", "/if/nested/deep", "/if/nested/deep?b=1", "/if/nested/deep?a=1", "/if/two?a=1", "/if/two?a=1&b=1", "/if/two?c=1&a=1", "/if/two", "/if/root", "/if/root?a=1", "/if/type", "/if/type?a=1", "/if/rewrite", "/if/rewrite?a=x", "/if/rewrite?a=y", "/if/neg", "/if/neg?a=xa&f=a.html", "/if/neg?a=yb&f=sub", "/if/neg?f=fifo",
		"/set/vars?a=1", "/set/vars", "/set/uri/a%20b?c=d", "/set/uri/%3f", "/vars?a=1&b", "/index/a/", "/index/b/", "/index/b/?i=.html", "/index/c/", "/index/d/", "/types/a.html", "/types2/a.html", "/types2/b.txt", "/types2/noext", "/types3/a.html", "/etag/a.html", "/expires/map?e=max", "/expires/map?e=epoch", "/expires/map?e=off", "/expires/map?e=-1", "/expires/map?e=bad", "/expires/map?e=1h", "/expires/map", "/expires/mod/a.html", "/head/dup", "/head/inherit", "/head/inherit/in", "/head/inherit/own", "/head/date", "/merge//slash", "/merge/./slash", "//merge///slash//"} {
		list = append(list, "GET "+uri, "HEAD "+uri)
	}
	return append(list, "POST /err/limit|Content-Length: 2|\nab", "POST /err/post|Content-Length: 2|\nab", "POST /err/big|Content-Length: 2|\nab", "POST /err/big|Transfer-Encoding: chunked|\n3\r\nabc\r\n0\r\n\r\n", "POST /err/echo|Content-Length: 2|\nab", "POST /try/named|Content-Length: 2|\nab", "PUT /try/code|Content-Length: 2|\nab", "GET /if/cookie|Cookie: a=b; ID=42; c=d", "GET /if/cookie",
		"POST /vars?x|Content-Length: 3|Content-Type: a/b|Cookie: a=1; b=2|X-Y: 1|\nabc", "GET /etag/a.html|If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT", "GET /redir/abs HTTP/1.0\r\n\r\n", "GET /redir/port HTTP/1.0\r\n\r\n", "GET /dirs/sub HTTP/1.0\r\n\r\n", "GET /redir/name HTTP/1.0\r\nHost: alias.example\r\n\r\n")
}()

// TestDetailsAsNginx compares what modules do together, and at their edges, with nginx's.
func TestDetailsAsNginx(t *testing.T) {
	site := makeSite(t)
	for name, text := range map[string]string{"map.inc": "a one;\nb two;\n\"c.d\" three;\n\\~t tilde;\n", "ranges.inc": "172.16.0.0-172.16.255.255 included;\n", "geo.inc": "11.0.0.0/8 eleven;\n", "types.inc": "types { t/html html; }\n"} {
		if err := os.WriteFile(site+"/"+name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	config := strings.Replace(detailsServer, "|$subrequest", "", 1)
	sameAnswersOf(t, site, config, detailsRequests, "ngx_http_echo_module", "ngx_http_headers_more_filter_module")
}

const rewrittenServer = `
geo $arg_ip $where { default default; 255.255.255.255 none; 10.0.0.0/8 ten; }
server { LISTEN; root SITE; default_type text/plain;
	location /alias/ { alias SITE/; rewrite ^ /alias/a.html break; }
	location /alias/index/ { alias SITE/; rewrite ^ /alias/index/ break; }
	location /alias/try/ { alias SITE/; rewrite ^ /alias/try/a.html break; try_files $uri /none; }
	location /alias/name { alias SITE/; rewrite ^ /alias/x break; add_header X "$request_filename"; return 200 "$document_root|$request_filename\n"; }
	location ~ ^/sub/index\.html$ { alias SITE; try_files $uri =404; }
	location ~ ^/(a\.html)$ { alias SITE/; rewrite ^ /b.txt break; }
	location = /b.txt { add_header ETag foo; add_header ETag "" always; add_header Last-Modified $arg_m; add_header X-Empty ""; }
	location = /geo { return 200 "$where\n"; }
}
`

// TestRewrittenURIsAsNginx compares what a changed URI means to alias, and headers that add_header takes away.
func TestRewrittenURIsAsNginx(t *testing.T) {
	sameAnswers(t, rewrittenServer, []string{
		"GET /alias/x", "GET /alias/index/x/", "GET /alias/try/x", "GET /alias/name", "GET /sub/index.html", "GET /a.html",
		"GET /b.txt", "GET /b.txt?m=x", "GET /b.txt?m=Mon,%2028%20Sep%201970%2006:00:00%20GMT", "GET /nix?m=",
		"GET /geo", "GET /geo?ip=10.1.1.1", "GET /geo?ip=x", "GET /geo?ip=255.255.255.255",
	})
}
