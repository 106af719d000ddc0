package http

import (
	"fmt"
	"strings"
	"testing"
)

// The servers of these groups all refuse: $upstream_addr shows in which order they are asked.
const balancingServer = `
upstream rr { SERVERS }
upstream hashed { hash $arg_k; SERVERS }
upstream ring { hash $arg_k consistent; SERVERS }
upstream byip { ip_hash; SERVERS }
upstream least { least_conn; SERVERS }
upstream down { hash $arg_k; SERVERS server 127.0.0.9:1 down; }
upstream zoned { zone z 64k; SERVERS }
upstream failing { zone z; server 127.0.0.11:1 max_fails=2; server 127.0.0.12:1 max_fails=3 weight=2; server 127.0.0.13:1 backup; }
upstream alone { hash $arg_k; server 127.0.0.11:1; }
server { LISTEN; server_name example.com; set_real_ip_from 127.0.0.0/8; real_ip_header X-IP;
	add_header X-Servers "$upstream_addr $upstream_status" always;
	proxy_next_upstream_tries 3;
	location /rr { proxy_pass http://rr; }
	location /hashed { proxy_pass http://hashed; }
	location /ring { proxy_pass http://ring; }
	location /byip { proxy_pass http://byip; }
	location /least { proxy_pass http://least; }
	location /down { proxy_pass http://down; }
	location /zoned { proxy_pass http://zoned; }
	location /failing { proxy_pass http://failing; }
	location /alone { proxy_pass http://alone; }
	location /off { proxy_next_upstream off; proxy_pass http://rr; }
	location /post { proxy_next_upstream error non_idempotent; proxy_pass http://rr; }
}
`

// TestBalancingAsNginx has requests passed to the same servers as nginx passes them.
func TestBalancingAsNginx(t *testing.T) {
	servers := ""
	for i := range 4 {
		servers += fmt.Sprintf("server 127.0.0.%d:1 weight=%d max_fails=0; ", i+11, i%2+1)
	}
	var requests []string
	for i := range 12 {
		for _, path := range []string{"rr", "least", "zoned", "failing"} {
			requests = append(requests, "GET /"+path)
		}
		for _, path := range []string{"hashed", "ring", "down"} {
			requests = append(requests, fmt.Sprintf("GET /%s?k=key%d", path, i*i))
		}
		requests = append(requests, fmt.Sprintf("GET /byip|X-IP: 10.%d.%d.7", i, i*3), fmt.Sprintf("GET /byip|X-IP: fe80::%d", i))
	}
	requests = append(requests, "GET /hashed", "GET /ring", "GET /alone?k=1", "GET /off", "POST /off|Content-Length: 0", "POST /post|Content-Length: 1|\nx", "POST /rr|Content-Length: 1|\nx")
	sameStreams(t, strings.ReplaceAll(balancingServer, "SERVERS", servers), requests)
}
