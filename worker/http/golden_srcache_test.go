package http

import (
	"strings"
	"testing"
)

const srcacheServer = `
upstream cache { server MEMC; keepalive 4; }
server { LISTEN; server_name example.com; root SITE; default_type text/plain;
	add_header X-Fetch $srcache_fetch_status; add_header X-Store $srcache_store_status; add_header X-Expire "[$srcache_expire]";
	location /memc { internal; set $memc_key $query_string; set_unescape_uri $memc_key; set $memc_exptime 300; memc_pass cache; }
	location /flush { set $memc_cmd flush_all; memc_pass cache; }
	location = /raw { set $memc_key $arg_k; memc_pass cache; }
	location = /put { set $memc_cmd set; set $memc_key $arg_k; set_unescape_uri $memc_value $arg_v; memc_pass cache; }
	location /c/ { srcache_fetch GET /memc $uri; srcache_store PUT /memc $uri; alias SITE/; }
	location /e/ { srcache_fetch GET /memc $uri; srcache_store PUT /memc $uri; echo "hello $arg_x"; echo_flush; echo "world"; }
	location /args/ { srcache_fetch GET /memc?$uri; srcache_store PUT /memc?$uri; echo args; }
	location /skip/ { srcache_fetch_skip $arg_f; srcache_store_skip $arg_s; srcache_fetch GET /memc $uri; srcache_store PUT /memc $uri; echo skip; }
	location /cc/ { srcache_request_cache_control on; srcache_fetch GET /memc $uri; srcache_store PUT /memc $uri; echo cc; }
	location /resp/ { srcache_fetch GET /memc $uri; srcache_store PUT /memc $uri; proxy_pass http://UPSTREAM; }
	location /respoff/ { srcache_response_cache_control off; srcache_fetch GET /memc $uri; srcache_store PUT /memc $uri; rewrite ^/respoff/(.*)$ /resp/$1 break; proxy_pass http://UPSTREAM; }
	location /status/ { srcache_store_statuses 201 404; srcache_fetch GET /memc $uri; srcache_store PUT /memc $uri; if ($arg_c = 404) { return 404; } if ($arg_c = 301) { return 301 /x; } echo_status 201; echo ok; }
	location /redir/ { srcache_fetch GET /memc $uri; srcache_store PUT /memc $uri; return 302 http://there/$uri; }
	location /redir2/ { srcache_fetch GET /memc $uri; srcache_store PUT /memc $uri; return 301 /there; }
	location /max/ { srcache_store_max_size 200; srcache_fetch GET /memc $uri; srcache_store PUT /memc $uri; echo_duplicate 300 x; }
	location /max2/ { srcache_store_max_size 300; srcache_fetch GET /memc $uri; srcache_store PUT /memc $uri; alias SITE/; }
	location /post/ { srcache_methods POST; srcache_fetch GET /memc $uri; srcache_store PUT /memc $uri; echo_read_request_body; echo "post $echo_request_body"; }
	location /nopost/ { srcache_fetch GET /memc $uri; srcache_store PUT /memc $uri; echo "post"; }
	location /hide/ { srcache_store_hide_header X-Hide; srcache_store_hide_header Content-Type; srcache_store_pass_header Set-Cookie; srcache_fetch GET /memc $uri; srcache_store PUT /memc $uri; rewrite ^ /resp/hide break; proxy_pass http://UPSTREAM; }
	location /deny/ { deny all; srcache_fetch GET /memc $uri; srcache_store PUT /memc $uri; echo never; }
	location /bad/ { srcache_fetch GET /badfetch $arg_v; echo "fresh"; }
	location /badfetch { internal; set_unescape_uri $v $args; echo -n $v; }
	location /nix/ { srcache_fetch GET /nowhere; srcache_store PUT /nowhere; echo nix; }
	location /unsafe/ { srcache_fetch GET /../memc x; echo unsafe; }
	location /only/ { srcache_store PUT /memc $uri; echo only; }
	location /range/ { srcache_fetch GET /memc $uri$http_range; srcache_store PUT /memc $uri$http_range; srcache_store_ranges on; alias SITE/; }
	location /norange/ { srcache_fetch GET /memc $uri$http_range; srcache_store PUT /memc $uri$http_range; alias SITE/; }
	location /expire/ { srcache_default_expire 7; srcache_max_expire 100; srcache_fetch GET /memc $uri; srcache_store PUT /memc $uri; rewrite ^/expire/(.*)$ /resp/$1 break; proxy_pass http://UPSTREAM; }
	location /header/ { srcache_header_buffer_size 20; srcache_fetch GET /memc $uri; srcache_store PUT /memc $uri; rewrite ^ /resp/long break; proxy_pass http://UPSTREAM; }
	location /outer/ { echo_location /e/inner; echo outer; }
	location /if/ { if ($arg_c) { srcache_fetch GET /memc $uri; srcache_store PUT /memc $uri; echo cached; } echo plain; }
}
`

// srcacheScript are answers of the upstream.
var srcacheScript = map[string]string{
	"/resp/plain":    "HTTP/1.1 200 OK\r\nContent-Type: a/b; charset=x\r\nX-A: 1\r\nSet-Cookie: a=b\r\nContent-Length: 5\r\n\r\nplain",
	"/resp/private":  "HTTP/1.1 200 OK\r\nCache-Control: private\r\nContent-Length: 1\r\n\r\np",
	"/resp/nostore":  "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 1\r\n\r\np",
	"/resp/nocache":  "HTTP/1.1 200 OK\r\nCache-Control: no-cache\r\nContent-Length: 1\r\n\r\np",
	"/resp/maxage":   "HTTP/1.1 200 OK\r\nCache-Control: public, max-age=5\r\nContent-Length: 1\r\n\r\np",
	"/resp/maxlong":  "HTTP/1.1 200 OK\r\nCache-Control: max-age=5000\r\nContent-Length: 1\r\n\r\np",
	"/resp/maxage0":  "HTTP/1.1 200 OK\r\nCache-Control: max-age=0\r\nContent-Length: 1\r\n\r\np",
	"/resp/maxbad":   "HTTP/1.1 200 OK\r\nCache-Control: max-age=x\r\nContent-Length: 1\r\n\r\np",
	"/resp/expired":  "HTTP/1.1 200 OK\r\nExpires: Thu, 01 Jan 1970 00:00:01 GMT\r\nContent-Length: 1\r\n\r\np",
	"/resp/expires":  "HTTP/1.1 200 OK\r\nExpires: Thu, 31 Dec 2037 23:55:55 GMT\r\nContent-Length: 1\r\n\r\np",
	"/resp/encoded":  "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\np",
	"/resp/chunked":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nLast-Modified: Tue, 14 Nov 2023 22:13:20 GMT\r\nETag: \"e\"\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
	"/resp/short":    "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nshort" + CLOSE,
	"/resp/location": "HTTP/1.1 302 Found\r\nLocation: http://there/x\r\nContent-Length: 0\r\n\r\n",
	"/resp/hide":     "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nX-Hide: 1\r\nX-Show: 2\r\nSet-Cookie: a=b\r\nContent-Length: 4\r\n\r\nhide",
	"/resp/long":     "HTTP/1.1 200 OK\r\nX-Long: 0123456789012345678901234567890123456789\r\nContent-Length: 4\r\n\r\nlong",
	"/resp/500":      "HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops",
	"/resp/reason":   "HTTP/1.1 200 Fine with me\r\nContent-Length: 4\r\n\r\nfine",
}

// TestSrcacheAsNginx compares the srcache module with OpenResty's: each request comes twice, and what is stored is asked for.
func TestSrcacheAsNginx(t *testing.T) {
	addr, _ := startMemcached(t)
	up := startScripted(t, srcacheScript)
	config := strings.ReplaceAll(strings.ReplaceAll(srcacheServer, "MEMC", addr), "UPSTREAM", up.addr)
	requests := []string{"GET /flush"}
	twice := func(list ...string) {
		for _, r := range list {
			requests = append(requests, r, r)
		}
	}
	twice("GET /c/a.html", "GET /c/b.txt", "GET /c/nix", "GET /c/empty.gif", "GET /e/x?x=1", "GET /args/x", "GET /skip/1?f=1", "GET /skip/2?s=1", "GET /skip/3?f=0&s=0", "GET /skip/4?f=yes&s=", "GET /cc/1", "GET /cc/2|Cache-Control: no-cache", "GET /cc/3|Cache-Control: no-store, no-cache", "GET /cc/4|Pragma: no-cache", "GET /cc/5|Cache-Control: no-store",
		"GET /status/1", "GET /status/2?c=404", "GET /status/3?c=301", "GET /redir/x", "GET /redir2/x", "GET /max/x", "GET /max2/a.html", "GET /max2/b.txt", "GET /nopost/x", "GET /hide/x", "GET /deny/x", "GET /nix/x", "GET /unsafe/x", "GET /only/x", "GET /header/x", "GET /outer/", "GET /if/x?c=1", "GET /if/y")
	for _, path := range []string{"plain", "private", "nostore", "nocache", "maxage", "maxlong", "maxage0", "maxbad", "expired", "encoded", "chunked", "location", "500", "reason"} {
		twice("GET /resp/" + path)
	}
	twice("GET /respoff/private", "GET /respoff/expired", "GET /expire/plain", "GET /expire/maxage", "GET /expire/maxlong", "GET /expire/expires", "GET /resp/short",
		"POST /post/x|Content-Length: 2|\nab", "POST /nopost/y|Content-Length: 2|\nab", "HEAD /c/head", "HEAD /e/head", "GET /range/b.txt|Range: bytes=0-4", "GET /norange/b.txt|Range: bytes=0-4", "GET /range/b.txt", "GET /c/a.html|Range: bytes=1-2", "GET /c/a.html|If-None-Match: *", "GET /c/a.html|If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT", "HEAD /c/a.html")
	for _, v := range []string{"", "text", "HTTP/1.1 200 OK%0d%0a%0d%0abody", "HTTP/1.1 200 OK%0aX: y%0a%0abody", "HTTP/1.1 200 OK%0d%0aX y: z%0d%0a%0d%0a", "HTTP/1.1 200 OK%0d%0aX: y", "HTTP/1.1 404 Gone%0d%0aX: y%0d%0a%0d%0agone", "HTTP/1.1 2x0 OK%0d%0a%0d%0a", "HTTP/1.0 200 OK%0d%0aConnection: x%0d%0aServer: s%0d%0aDate: d%0d%0aContent-Type: a/b; charset=c%0d%0a%0d%0abody", "HTTP/1.1 200 OK%0d%0a"} {
		requests = append(requests, "GET /bad/x?v="+strings.ReplaceAll(v, " ", "%20"))
	}
	for _, key := range []string{"/c/a.html", "/c/b.txt", "/e/x", "/args/x", "/skip/2", "/skip/3", "/cc/2", "/cc/3", "/status/1", "/redir/x", "/redir2/x", "/max/x", "/hide/x", "/resp/plain", "/resp/chunked", "/resp/location", "/resp/reason", "/resp/short", "/range/b.txtbytes=0-4", "/norange/b.txtbytes=0-4", "/header/x", "/post/x", "/if/x"} {
		requests = append(requests, "GET /raw?k="+key)
	}
	sameAnswers(t, config, requests, "ndk_http_module", "ngx_http_echo_module", "ngx_http_headers_more_filter_module", "ngx_http_set_misc_module", "ngx_http_memc_module", "ngx_http_srcache_filter_module")
}
