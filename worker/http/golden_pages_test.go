package http

import "testing"

const pagesServer = `
server {
	LISTEN; server_name example.com; root SITE; default_type text/plain;
	error_page 404 /404.html; error_page 410 = /gone; error_page 411 =201 /gone; error_page 412 @named; error_page 402 http://u.example/$uri;
	error_page 405 =301 http://v.example/x; error_page 500 502 /5$status?a=$uri; error_page 418 =200 /a.html;
	location = /404.html { internal; return 200 "page $uri $request_uri $status\n"; }
	location /gone { return 200 "gone $request_method $uri $args\n"; }
	location @named { return 200 "named $uri\n"; }
	location /5 { return 200 "five $uri $args"; }
	location /e410 { return 410; }
	location /e411 { return 411; }
	location /e412 { return 412; }
	location /e402 { return 402; }
	location /e405 { return 405; }
	location /e500 { return 500; }
	location /e418 { return 418; }
	location /static404 { error_page 404 /nix; }
	location /recursive { recursive_error_pages on; error_page 404 /rec2; return 404; }
	location /rec2 { error_page 403 /gone; return 403; }
	location /once { error_page 404 /rec2; return 404; }
	location /loop { recursive_error_pages on; error_page 404 /loop; return 404; }
	location /own { error_page 403 /own403; deny all; }
	location /own403 { return 200 forbidden; }
	location /to302 { error_page 404 =302 /gone; return 404; }
	location /withhead { add_header X-A "a-$arg_a"; add_header X-B b always; add_header X-C $arg_none; return 200 ok; }
	location /withhead404 { add_header X-A a; add_header X-B b always; error_page 404 /dev; return 404; }
	location /expmax { expires max; return 200 x; }
	location /expepoch { expires epoch; return 200 x; }
	location /expoff { expires off; return 200 x; }
	location /expneg { expires -1; return 200 x; }
	location /etags/ { alias SITE/; add_header ETag other; add_header Last-Modified "Tue, 14 Nov 2023 22:13:20 GMT"; add_header Cache-Control a; add_header Cache-Control b; }
	location /deny { deny 127.0.0.0/8; allow all; return 200 never; }
	location /deny2 { deny 127.0.0.0/8; allow all; }
	location /allow/ { allow 127.0.0.1; deny all; alias SITE/; }
	location /v6 { allow ::1; deny all; }
	location /any { satisfy any; deny all; }
	location /try/ { try_files $uri $uri/ /sub/index.html /a.html; }
	location /try2 { try_files /none.html /b.txt =404; }
	location /try3 { try_files /none.html =410; }
	location /try4 { try_files /none.html @named; }
	location /try5 { try_files /none$arg_x /gone?x=$arg_x; }
	location /trydir { try_files /sub/ =404; }
	location /tryalias/ { alias SITE/sub/; try_files $uri $uri/ =404; }
	location /try444 { try_files /none =444; }
	location /srv { location /srv/x { try_files /a.html /b; } }
	location /refresh { msie_refresh on; return 301 "/x y?a='b'&c=\"d\"<e>"; }
	location /refresh302 { msie_refresh on; return 302 http://there/; }
	location /refresh307 { msie_refresh on; return 307 /x; }
	location /refresh/ { msie_refresh on; error_page 404 http://lost.example/?u=$uri; error_page 403 =307 /x; return 404; }
	location /sr { internal; return 200 x; }
}
`

var pagesRequests = []string{
	"GET /refresh", "GET /refresh|User-Agent: x MSIE 7.0; y", "HEAD /refresh|User-Agent: x MSIE 7.0; y", "GET /refresh302|User-Agent: x MSIE 8.0; y", "GET /refresh307|User-Agent: x MSIE 8.0; y", "GET /refresh/|User-Agent: x MSIE 8.0; y", "GET /refresh/",
	"GET /nothing", "HEAD /nothing", "POST /nothing", "GET /e410?x", "POST /e410", "HEAD /e410", "GET /e411", "GET /e412", "GET /e402", "GET /e405", "GET /e500", "GET /e418",
	"GET /static404/x", "GET /recursive", "GET /once", "GET /loop", "GET /own", "GET /to302", "GET /withhead?a=1", "GET /withhead404",
	"GET /expmax", "GET /expepoch", "GET /expoff", "GET /etags/a.html", "GET /etags/nix", "GET /deny", "GET /deny2", "GET /allow/a.html", "GET /v6", "GET /any",
	"GET /try/a.html", "GET /try/x", "GET /try/", "GET /try2", "GET /try3", "GET /try4", "GET /try5?x=1", "GET /trydir", "GET /tryalias/index.html", "GET /tryalias/", "GET /tryalias/x", "GET /try444", "GET /srv/x",
	"GET /sr", "PUT /a.html", "GET /%00", "GET /b.txt|Range: bytes=99999-",
}

// TestErrorPagesAsNginx compares error_page, try_files, access rules and added headers with nginx's.
func TestErrorPagesAsNginx(t *testing.T) { sameAnswers(t, pagesServer, pagesRequests) }
