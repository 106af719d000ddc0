package http

import "testing"

const orderServer = `
limit_req_zone $remote_addr zone=addr:64k rate=1r/m;
limit_req_zone $arg_k zone=key:64k rate=1r/m;
limit_conn_zone $arg_k zone=conns:64k;
server { LISTEN; server_name example.com; root SITE; default_type text/plain; set_real_ip_from 127.0.0.1;
	location /access { deny all; auth_basic x; auth_basic_user_file SITE/users; auth_request /r404; try_files /a.html =404; }
	location /basic { auth_basic x; auth_basic_user_file SITE/users; auth_request /r404; try_files /a.html =404; }
	location /both { limit_req zone=key; deny all; return 200 never; try_files /a.html =404; }
	location /limited { limit_req zone=key; deny all; try_files /a.html =404; }
	location /real { real_ip_header X-Client; limit_req zone=addr; try_files /nix @show; }
	location /denied { real_ip_header X-Client; deny 192.0.2.9; try_files /nix @show; }
	location /tried { mirror /r404; try_files /nix =410; }
	location /mirrored { mirror /r404; try_files /a.html =410; }
	location /auth2 { auth_request /r404; limit_req zone=key; try_files /a.html =404; }
	location /post { limit_req zone=key; mirror /r404; deny all; try_files /a.html =404; }
	location /sub/ { random_index on; autoindex on; dav_methods DELETE; }
	location /none/ { autoindex on; index nix; }
	location /rewritten { rewrite ^ /access last; deny all; }
	location @show { return 200 "$remote_addr $limit_req_status\n"; }
	location /r404 { internal; alias SITE/nix; }
}
`

// TestOrderAsNginx shows in which order the handlers of a phase come.
func TestOrderAsNginx(t *testing.T) {
	sameAnswers(t, orderServer, []string{
		"GET /access", "GET /access" + basic("plain:secret"), "GET /basic", "GET /basic" + basic("plain:x"), "GET /basic" + basic("plain:secret"), "GET /both?k=a",
		"GET /limited?k=b", "GET /limited?k=b", "GET /real|X-Client: 192.0.2.1", "GET /real|X-Client: 192.0.2.1", "GET /real|X-Client: 192.0.2.2", "GET /denied|X-Client: 192.0.2.9", "GET /denied|X-Client: 192.0.2.8",
		"GET /tried", "GET /mirrored", "GET /auth2?k=c", "GET /auth2?k=c", "POST /post?k=d|Content-Length: 2|\nab", "POST /post?k=d|Content-Length: 2|\nab",
		"GET /sub/", "DELETE /sub/x", "POST /sub/", "GET /none/", "GET /rewritten",
	})
}
