package http

import (
	"regexp"
	"testing"
)

var pageChunk = regexp.MustCompile(`\r\n[0-9a-f]+\r\n<html>`)

// plainChunks is plain for answers that may have the page for a status in a chunk.
func plainChunks(s string) string { return pageChunk.ReplaceAllString(plain(s), "\r\nN\r\n<html>") }

const rewriteServer = `
server {
	LISTEN; server_name example.com; root SITE; rewrite_log on;
	set $top "top-$arg_t";
	if ($arg_deny) { return 403; }
	if ($arg_srv = "x") { rewrite ^ /show/srv; }
	rewrite ^/srv/(.*)$ /show/$1 last;
	location /show { return 200 "$uri|$args|$1|$top|$request_uri\n"; }
	location /set { set $a "A"; set $b "$a-$arg_b"; set $a "$a$a"; return 200 "$a $b\n"; }
	location /uninit { if ($arg_never) { set $never 1; } return 200 "[$never][$never]"; }
	location /nowarn { uninitialized_variable_warn off; if ($arg_never) { set $never2 1; } return 200 "[$never2]"; }
	location /last/ { rewrite ^/last/(\w+)/(.*)$ /show/$2?first=$1 last; return 500; }
	location /noargs { rewrite ^/noargs /show? last; }
	location /twoargs { rewrite ^/twoargs/(.*) /show?a=$1&b=?x last; }
	location /break/ { rewrite ^/break/(.*)$ /$1 break; return 500; }
	location /chain { rewrite ^/chain(.*)$ /one$1; rewrite ^/one(.*)$ /two$1; rewrite ^/two(.*)$ /show$1; }
	location /redirect { rewrite ^/redirect/(.*)$ /to/$1 redirect; rewrite ^ /else? permanent; }
	location /abs { rewrite ^/abs/(.*)$ http://there.example/$1; }
	location /https { rewrite ^/https/(.*)$ https://there.example/x?y=$1 permanent; }
	location /scheme { rewrite ^/scheme/(.*)$ $scheme://there.example/$1; }
	location /loop { rewrite ^ /loop/more last; }
	location /empty { rewrite ^ $arg_none last; }
	location /noloop { rewrite ^ /noloop break; return 200 never; }
	location /inner { internal; return 200 "inside $uri"; }
	location /toinner { rewrite ^ /inner last; }
	location /eq { if ($arg_a = "1") { return 200 one; } if ($arg_a != "2") { return 200 "not two"; } return 200 two; }
	location /re { if ($arg_a ~ "^(\w+)-(\w+)$") { return 200 "$2-$1"; } if ($arg_a ~* "ABC") { return 200 abc; }
		if ($arg_a !~ "q") { return 200 "no q"; } if ($arg_a !~* "Z") { return 200 "no Z"; } return 200 else; }
	location /named { if ($arg_a ~ "^(?<first>.)(?<second>.)") { set $x "$second$first"; } return 200 "[$x][$first]"; }
	location /capset { rewrite ^/capset/(.*)$ /capset/$1/x; set $c $1; return 200 "$c|$uri"; }
	location /file { if (-f SITE$arg_f) { return 200 file; } if (-d SITE$arg_f) { return 200 dir; }
		if (-e SITE$arg_f) { return 200 exists; } if (!-e SITE$arg_f) { return 200 none; } return 200 other; }
	location /exec { if (-x SITE$arg_f) { return 200 x; } if (!-x SITE$arg_f) { return 200 "not x"; } }
	location /two { if ($arg_a) { set $r "a"; } if ($arg_b) { set $r "${r}b"; } if ($arg_c) { break; } return 200 "[$r]"; }
	location /ifroot { root SITE/none; if ($arg_a) { root SITE/other; } if ($arg_b) { root SITE/sub; } rewrite ^/ifroot(.*)$ $1 break; }
	location /ifback { set $q 1; if ($arg_a) { set $q 2; } return 200 "$q"; }
	location /setargs { set $args "x=9&$args"; return 200 "$args $arg_x $is_args $query_string\n"; }
	location ~ ^/cap/(.+)$ { set $got $1; if ($got ~ nothing) { return 200 no; } return 200 "[$1][$got]"; }
	location /nogroups/(.*) { rewrite ^ /show; }
	location ~ ^/clear/(.*)$ { rewrite ^/clear /show/$1 last; }
	location /break2 { break; return 200 never; }
	location /code { return 200 a; return 201 b; }
	location /zero { if ($arg_a) { return 200 yes; } return 200 no; }
	location /CASE { set $MiXed "m"; return 200 "$mixed $MIXED $URI $Arg_A"; }
}
`

var rewriteRequests = []string{
	"GET /?deny=1", "GET /any?srv=x", "GET /srv/a/b?x=1", "GET /show", "GET /set?b=B&t=T", "GET /uninit", "GET /uninit?never=1", "GET /nowarn",
	"GET /last/w/rest/of?q=2", "GET /last/w/a%20b%3Fc", "GET /last/a+b/c", "GET /last/x/a+b%26c?z", "GET /noargs?q=1", "GET /twoargs/1?c", "GET /twoargs/%201",
	"GET /break/a.html", "GET /break/sub/", "GET /break/none.html", "GET /chain/x/y?z", "GET /redirect/x%20y?q=1", "GET /redirect/%C3%A4+b", "GET /redirect?q=1",
	"GET /abs/p/%7Eq?r=1", "GET /https/%20z?w", "GET /scheme/x", "GET /loop", "GET /empty", "GET /noloop", "GET /inner", "GET /toinner",
	"GET /eq?a=1", "GET /eq?a=2", "GET /eq?a=3", "GET /eq", "GET /re?a=x-y", "GET /re?a=xABCx", "GET /re?a=xabcx", "GET /re?a=q", "GET /re?a=qz", "GET /re?a=w",
	"GET /named?a=12", "GET /named", "GET /capset/a%20b", "GET /capset/ab", "GET /file?f=/a.html", "GET /file?f=/sub", "GET /file?f=/fifo", "GET /file?f=/nix", "GET /file?f=/a.html/x",
	"GET /exec?f=/sub", "GET /exec?f=/a.html", "GET /exec?f=/nix",
	"GET /two?a=1", "GET /two?a=1&b=1", "GET /two?b=1", "GET /two?c=1", "GET /two",
	"GET /ifroot/deep/f.jpg?a=1", "GET /ifroot/index.html?b=1", "GET /ifroot/index.html?a=1&b=1", "GET /ifroot/file", "GET /ifback?a=1", "GET /ifback",
	"GET /setargs?y=1", "GET /setargs", "GET /cap/x%20y", "GET /cap/nothing", "GET /nogroups/(.*)", "GET /clear/x", "GET /break2", "GET /code", "GET /zero?a=0", "GET /zero?a=00", "GET /zero?a=",
	"GET /CASE?a=1", "POST /last/w/rest|Content-Length: 3|\nabc",
}

// TestRewriteAsNginx compares the rewrite module with nginx's.
func TestRewriteAsNginx(t *testing.T) { sameAnswers(t, rewriteServer, rewriteRequests) }
