package http

import (
	"strings"
	"testing"
)

// edgesServer has what random configurations have once shown to be otherwise than in nginx.
const edgesServer = `
server { LISTEN; server_name example.com; root SITE; default_type text/plain; set $v "";
	error_page 400 =302 $uri;
	location /303 { return 303; }
	location /modified { add_header Last-Modified ""; alias SITE; }
	location /etag { add_header ETag ""; alias SITE; }
	location /nodir/ { alias SITE/b.txt; }
	location /cached/ { open_file_cache max=10; root SITE; }
	location /named { error_page 404 @limited; error_page 403 @asked; }
	location /asked { error_page 404 @asked; }
	location @limited { limit_except POST { deny all; } }
	location @asked { error_page 401 =302 http://x$uri; limit_except POST { auth_basic x; auth_basic_user_file SITE/users; } }
	location /twice { error_page 401 /twice/again; auth_basic x; auth_basic_user_file SITE/users; }
	location /broken/ { rewrite ^/broken/(.*)$ /$1 break; alias SITE/sub/; }
	location /broken2/ { rewrite ^/broken2/(.*)$ /$1; break; autoindex on; alias SITE/sub/; }
	location /broken3/ { rewrite ^/broken3/(.*)$ /$1 break; error_page 500 = @v; try_files $uri =404; alias SITE/sub/; }
	location /changed/ { rewrite ^ /v; set $v "[$request_filename]"; alias SITE/sub/; }
	location /v { return 200 "$v\n"; }
	location @v { return 200 "at $uri\n"; }
	location /redirect/ { rewrite ^ https://x$uri; }
	location /ifs { if ($arg_a) { proxy_pass http://UP; } if ($arg_b) { set $v 1; } return 200 "none\n"; }
	location /pass { proxy_pass http://UP; }
	location /uri/ { proxy_pass http://UP/x/; }
	location /expect { error_page 404 /a.html; try_files /nix =404; }
	location /expect2 { error_page 404 = /a.html; try_files /nix =404; }
	location /agent { keepalive_disable safari; return 200 x; }
	location /try/ { alias SITE/b.txt; location = /try/x { try_files $uri.html $uri; } }
	location /asks/ { auth_request /r200; alias SITE/; }
	location /mirrored/ { mirror /r200; alias SITE/; }
	location = /r200 { internal; return 200; }
	location /more { add_before_body /nix; error_page 404 /a.html; }
}
server { LISTEN; server_name example.com; location / { proxy_pass http://UP; } }
server { LISTEN; server_name example.com; rewrite ^/a(.*)$ /b$1 break; location /b { alias SITE; } }
`

var edgesRequests = []string{
	"HEAD /%zz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "HEAD ~ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "GET /%zz\r\n",
	"GET /303", "HEAD /303", "GET /modified/a.html", "GET /modified/a.html|If-None-Match: *", "GET /etag/a.html", "GET /nodir/", "GET /cached/nix/", "GET /cached/none/",
	"GET /named", "POST /named|Content-Length: 0", "GET /asked", "GET /twice", "GET /twice" + basic("plain:secret"),
	"GET /broken/index.html", "GET /broken/", "GET /broken2/", "GET /broken2/x", "GET /broken3/index.html", "GET /changed/x", "GET /ax",
	"GET /redirect/%25x", "GET /redirect/%2525", "GET /redirect/%25", "GET /redirect/%25a", "GET /redirect/%25az", "GET /redirect/%25zz", "GET /redirect/%253fx%2521", "GET /redirect/%2541%2520%25e9",
	"GET /ifs?a=1&b=1", "GET /ifs?b=1", "GET http://example.com?a=1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "GET /uri/a+b\"c", "GET /uri/a%20b\"c+",
	"GET /expect|Expect: 100-continue", "POST /expect|Expect: 100-continue|Content-Length: 2|\nab", "GET /expect2|Expect: 100-continue", "POST /expect2|Expect: 100-continue|Content-Length: 2|\nab",
	"GET /agent|User-Agent: MSIE 6.0; x|User-Agent: Chrome/1", "POST /agent|User-Agent: MSIE 6.0; x|User-Agent: x|Content-Length: 0", "GET /try/x", "GET /try/y",
	"HEAD /asks/a.html|If-Match: \"x\"", "HEAD /mirrored/a.html|If-Match: \"x\"", "GET /asks/a.html|If-Match: \"x\"", "GET /more",
}

// TestEdgesAsNginx keeps what TestRandomAsNginx has found.
func TestEdgesAsNginx(t *testing.T) {
	sameAnswers(t, strings.ReplaceAll(edgesServer, "UP", startEcho(t)), edgesRequests)
}
