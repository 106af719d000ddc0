package http

import "testing"

const blocksServer = `
map_hash_max_size 4096; map_hash_bucket_size 128; variables_hash_max_size 2048; variables_hash_bucket_size 64; server_names_hash_max_size 512; server_names_hash_bucket_size 64;
geo $plain { default none; 127.0.0.0/8 local; 192.0.2.0/24 doc; 2001:db8::/32 six; }
geo $proxied { default none; proxy 127.0.0.0/8; proxy 10.0.0.0/8; 127.0.0.0/8 local; 10.0.0.0/8 ten; 192.0.2.0/24 doc; 2001:db8::/32 six; }
geo $recursive { default none; proxy 127.0.0.0/8; proxy 10.0.0.0/8; proxy_recursive; 127.0.0.0/8 local; 10.0.0.0/8 ten; 192.0.2.0/24 doc; 2001:db8::/32 six; }
geo $arg_a $byarg { ranges; default none; proxy 10.0.0.0/8; 10.0.0.0-10.255.255.255 ten; 192.0.2.0-192.0.2.255 doc; }
map $arg_m $mapped { default "d-$arg_x"; a one; ~^b(?<rest>.*)$ "two-$rest"; ~*^C(.)$ "three-$1"; "" empty; \~x tilde; "sp ace" space; "\default" word; }
map "$arg_m-$arg_n" $pair { default 0; a-b 1; "~^c-(\d+)$" $1; }
map $mapped $again { volatile; default "<$mapped>"; one first; }
split_clients "$arg_s" $split { 10% ten; 0.5% half; 40.25% forty; * rest; }
server { LISTEN; server_name example.com; root SITE; default_type text/plain;
	error_page 404 = @missing; error_page 403 /forbidden.html; error_page 410 =200 /a.html; error_page 500 502 =503 /nix.html; error_page 405 https://other.example/x?$arg_q; error_page 409 =302 /loc?$args; error_page 418 =301 @missing;
	location = /blocks { return 200 "$plain $proxied $recursive $byarg|$mapped|$pair|$again|$split\n"; }
	location @missing { return 200 "missing $uri $args $status\n"; }
	location /code { if ($arg_c = 403) { return 403; } if ($arg_c = 410) { return 410; } if ($arg_c = 500) { return 500; } if ($arg_c = 405) { return 405; } if ($arg_c = 409) { return 409; } if ($arg_c = 418) { return 418; } return 404; }
	location /recursive { recursive_error_pages on; error_page 404 /nix1; error_page 410 /code?c=403; return 410; }
	location /try { try_files $uri $uri/ /sub/index.html; }
	location /try2 { try_files /$arg_f /sub/ =403; }
	location /try3 { try_files $uri @missing; }
	location /try4 { try_files /nix /code?c=410; }
	location /tryalias/ { alias SITE/sub/; try_files $uri /tryalias/index.html =404; }
	location /trydir { try_files /sub /two/ =404; index second.html; }
	location /if { set $x ""; if ($arg_a) { set $x "${x}a"; } if ($arg_b != "") { set $x "${x}b"; } if ($arg_c ~ "^(\d)(\d)$") { set $x "$x$2$1"; } if ($arg_c !~* "Z") { set $x "${x}z"; } if (-f $document_root/a.html) { set $x "${x}f"; } if (!-e $document_root/$arg_e) { set $x "${x}e"; } if (-d $document_root/sub) { set $x "${x}d"; } return 200 "$x\n"; }
	location /ifroot { if ($arg_r) { root SITE/sub; } if ($arg_n) { break; } try_files /index.html =404; }
	location /ifadd { add_header X-Out 1; if ($arg_h) { add_header X-In 2; } if ($arg_i) { add_header X-In2 3; } return 200 x; }
}
`

// TestBlocksAsNginx compares geo with proxies, map, split_clients, error_page, try_files and if with nginx's.
func TestBlocksAsNginx(t *testing.T) {
	requests := []string{"GET /blocks"}
	for _, xff := range []string{"192.0.2.1", "10.1.1.1", "192.0.2.1, 10.1.1.1", "198.51.100.1, 192.0.2.2, 10.1.1.1", "junk", "2001:db8::1", "192.0.2.1, junk", "192.0.2.1:80"} {
		requests = append(requests, "GET /blocks?a=10.1.1.1|X-Forwarded-For: "+xff, "GET /blocks?a=192.0.2.1|X-Forwarded-For: 192.0.2.1|X-Forwarded-For: "+xff)
	}
	for _, args := range []string{"a=192.0.2.7", "a=junk", "a=255.255.255.255", "m=a&n=b", "m=A", "m=bxyz", "m=cd", "m=Cd", "m=cde", "m=c&n=12", "m=zzz&x=9", "m=~x", "m=default", "s=a", "s=b", "s=c", "s=d", "s=e", "s=f", "s=g", "s=h", "s=aa", "s=bb"} {
		requests = append(requests, "GET /blocks?"+args)
	}
	for _, uri := range []string{"/code", "/code?c=403&q=1", "/code?c=410", "/code?c=500", "/code?c=405&q=z", "/code?c=409&q=z", "/code?c=418", "/recursive", "/missing?x=y", "/try/x", "/try", "/try2?f=a.html", "/try2?f=nix", "/try2", "/try3", "/try3/x?y", "/try4", "/tryalias/x", "/tryalias/index.html", "/tryalias/", "/trydir",
		"/if", "/if?a=1", "/if?a=0", "/if?b=0", "/if?c=12", "/if?c=1z", "/if?e=a.html", "/if?e=nix&a=1&b=2&c=34", "/ifroot", "/ifroot?r=1", "/ifroot?n=1&r=1", "/ifadd", "/ifadd?h=1", "/ifadd?i=1", "/ifadd?h=1&i=1"} {
		requests = append(requests, "GET "+uri, "HEAD "+uri)
	}
	requests = append(requests, "POST /code?c=403|Content-Length: 2|\nab", "POST /code|Content-Length: 2|\nab", "PUT /try/x|Content-Length: 2|\nab")
	sameAnswers(t, blocksServer, requests)
}
