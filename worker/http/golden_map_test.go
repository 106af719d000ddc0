package http

import "testing"

const mapServer = `
map $arg_m $mapped { default "d-$arg_d"; a A; B lower; "" empty; ~^r(?<rest>.*)$ "regex $rest"; ~*^Q(.)$ "q $1"; \default escaped; "two words" tw; ~x X; }
map $arg_h $host_map { hostnames; default none; example.com exact; *.example.com wild; .dot.org dot; www.example.* tail; ~^re re; }
map $mapped $twice { default other; A was-a; "regex yz" was-r; }
map $arg_v $vol { volatile; default "v$arg_v"; }
geo $geo { default no; 127.0.0.0/8 local; 127.0.0.1 me; }
geo $arg_ip $net { default none; 10.0.0.0/8 ten; 10.1.0.0/16 ten-one; 10.1.2.3 host; ::1 six; 2001:db8::/32 doc; delete 10.0.0.0/8; 11.0.0.0/8 eleven; }
geo $arg_ip $range { ranges; default none; 10.0.0.0-10.0.0.255 a; 10.0.1.0-10.0.2.7 b; }
split_clients "x$arg_s" $split { 10% ten; 20.5% twenty; 0.01% few; * rest; }
server { LISTEN; server_name example.com;
	location /m { return 200 "$mapped|$twice|$1|$rest\n"; }
	location /h { return 200 "$host_map\n"; }
	location /v { set $a $vol; set $args "v=2"; return 200 "$a $vol\n"; }
	location /k { set $a $mapped; set $args "m=a"; return 200 "$a $mapped\n"; }
	location /set { set $mapped changed; return 200 "$mapped $twice\n"; }
	location /geo { return 200 "$geo $net $range\n"; }
	location /split { return 200 "$split\n"; }
}
`

var mapRequests = []string{
	"GET /m?m=a&d=1", "GET /m?m=b", "GET /m?m=B", "GET /m", "GET /m?m=zz&d=9", "GET /m?m=ryz", "GET /m?m=qw", "GET /m?m=QW", "GET /m?m=default", "GET /m?m=ax", "GET /m?m=A",
	"GET /h?h=example.com", "GET /h?h=a.example.com", "GET /h?h=dot.org", "GET /h?h=x.dot.org", "GET /h?h=www.example.net", "GET /h?h=re", "GET /h?h=other", "GET /h?h=EXAMPLE.com.",
	"GET /v?v=1", "GET /k?m=b", "GET /set?m=a", "GET /geo", "GET /geo?ip=10.1.2.3", "GET /geo?ip=10.1.9.9", "GET /geo?ip=10.9.9.9", "GET /geo?ip=11.1.1.1", "GET /geo?ip=::1",
	"GET /geo?ip=2001:db8::5", "GET /geo?ip=10.0.0.7", "GET /geo?ip=10.0.2.7", "GET /geo?ip=10.0.2.8", "GET /geo?ip=junk",
	"GET /split?s=1", "GET /split?s=2", "GET /split?s=3", "GET /split?s=abc", "GET /split?s=abcd", "GET /split?s=abcde", "GET /split?s=abcdef", "GET /split?s=q", "GET /split",
	"GET /split?s=11", "GET /split?s=12", "GET /split?s=13", "GET /split?s=14", "GET /split?s=15", "GET /split?s=16",
}

// TestMapsAsNginx compares map, geo and split_clients with nginx's.
func TestMapsAsNginx(t *testing.T) { sameAnswers(t, mapServer, mapRequests) }
