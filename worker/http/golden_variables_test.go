package http

import (
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"strings"
	"testing"
)

// shapedVariables have values that are other ones another time: only what they look like is compared.
var shapedVariables = []struct{ shapes, names string }{
	{`~^[0-9.]+$ N; ~^-$ -; "~^[0-9.]+, [0-9.]+$" "N, N"; "~^[0-9.]+ : [0-9.]+$" "N : N"; "~^-, [0-9.]+$" "-, N";`,
		`upstream_connect_time upstream_header_time upstream_response_time request_time msec connection connection_time remote_port server_port proxy_port
		realip_remote_port tcpinfo_rtt tcpinfo_rttvar tcpinfo_snd_cwnd tcpinfo_rcv_space gzip_ratio bytes_sent pid`},
	{`~^[0-9a-f]+$ H;`, `request_id`},
	{`~^uid=[0-9A-F]+$ U;`, `uid_set uid_got`},
	{`~/000. F;`, `request_body_file`},
	{`~^\d\d\d\d-\d\d-\d\dT\d\d:\d\d:\d\d[-+]\d\d:\d\d$ T;`, `time_iso8601`},
	{`"~^\d\d/\w\w\w/\d\d\d\d:\d\d:\d\d:\d\d [-+]\d\d\d\d$" T;`, `time_local`},
}

// plainVariables are all others that nginx 1.22 and this server have, but for those that name the machine or the product.
var plainVariables = strings.Fields(`args binary_remote_addr connection_requests content_length content_type document_root document_uri
	host https is_args limit_conn_status limit_rate limit_req_status pipe proxy_add_x_forwarded_for proxy_host proxy_protocol_addr proxy_protocol_port
	proxy_protocol_server_addr proxy_protocol_server_port query_string realip_remote_addr realpath_root remote_addr remote_user request request_body request_completion
	request_filename request_length request_method request_uri scheme secure_link secure_link_expires server_addr server_name server_protocol status
	uri upstream_addr upstream_bytes_received upstream_bytes_sent upstream_response_length upstream_status
	arg_a arg_A arg_none cookie_c cookie_C cookie_none http_x http_host http_user_agent http_referer http_via http_accept_encoding http_none http_content_length http_transfer_encoding
	http_connection http_range http_x_forwarded_for http_cookie http_a_b sent_http_content_type sent_http_content_range sent_http_location sent_http_last_modified
	sent_http_etag sent_http_connection sent_http_keep_alive sent_http_transfer_encoding sent_http_cache_control sent_http_link sent_http_x_sent sent_http_none sent_trailer_x_trailer upstream_http_x_up
	upstream_http_server upstream_http_none upstream_cookie_a upstream_cookie_c upstream_trailer_none mapped geod ranged parted v n m invalid_referer`)

var uidCookie = regexp.MustCompile(`uid=[A-Za-z0-9+/=]+;`)

// variablesConfig answers, or logs, with all variables. Not both: what nginx has asked for once it keeps, as old as it may be.
func variablesConfig(up string) string {
	var maps, values strings.Builder
	for _, s := range shapedVariables {
		for _, name := range strings.Fields(s.names) {
			fmt.Fprintf(&maps, "map $%[1]s $shape_%[1]s { volatile; default \"?$%[1]s\"; \"\" \"\"; %[2]s }\n", name, s.shapes)
			fmt.Fprintf(&values, "%[1]s=$shape_%[1]s;", name)
		}
	}
	for _, name := range plainVariables {
		fmt.Fprintf(&values, "%[1]s=$%[1]s;", name)
	}
	text := `variables_hash_max_size 4096; log_format all '` + values.String() + `'; log_format json escape=json '` + values.String() + `';
map $arg_a $mapped { default "d$arg_b"; 1 one; ~^s(?<m>.*)$ $m; "" empty; }
geo $geod { default none; proxy 127.0.0.0/8; 1.2.3.0/24 doc; 127.0.0.0/8 local; }
geo $arg_a $ranged { ranges; default none; 1.0.0.0-1.255.255.255 one; }
split_clients $uri$arg_a $parted { 30% a; 33.3% b; * c; }
limit_req_zone $arg_none zone=req:64k rate=1r/s; limit_conn_zone $arg_none zone=conn:64k;
` + maps.String() + `
server { LISTEN; server_name example.com ~^(?<n>.*)\.example\.com$; root SITE; access_log LOGS/all all; access_log LOGS/json json; set $v "v$arg_b"; userid on; valid_referers none server_names;
	set_real_ip_from 127.0.0.1; real_ip_header X-Forwarded-For; secure_link $arg_a,$arg_b; secure_link_md5 $uri; default_type text/plain;
	limit_req zone=req; limit_conn conn 1; add_header X-Sent $uri; add_header Link <a>; add_header Link <b>; add_trailer X-Trailer t;
	location / { access_log off; return 200 "VALUES\n"; }
	location /a { expires 1h; alias SITE/a.html; }
	location /b { client_body_in_file_only clean; limit_rate 1m; proxy_pass http://UP; }
	location /sub { access_log off; proxy_http_version 1.1; add_header X-Sent "VALUES"; proxy_pass http://UP/x; }
	location /two { gzip on; gzip_min_length 1; gzip_types *; proxy_next_upstream error; proxy_pass http://two; }
	location /none { return 301 /there; }
	location /missing { error_page 404 = /b; try_files /nix =404; }
	location ~ ^/x(?<m>.*) { auth_basic x; auth_basic_user_file SITE/users; access_log off; return 200 "VALUES\n"; }
}
upstream two { server 127.0.0.1:1 max_fails=0; server UP; }
`
	return strings.NewReplacer("VALUES", values.String(), "UP", up).Replace(text)
}

// TestVariablesAsNginx compares the variables of random requests with nginx's.
func TestVariablesAsNginx(t *testing.T) {
	up := startEcho(t)
	seed, n := uint64(1), uint64(1)
	if askPeers() && !*update {
		seed, n = randomConfigs(t)
		n = 1 + n/10
	}
	for i := seed; i < seed+n; i++ {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			site := makeSite(t)
			if err := os.WriteFile(site+"/users", []byte(basicUsers), 0o644); err != nil {
				t.Fatal(err)
			}
			sameTimes(t, site)
			g := &randomSite{r: rand.New(rand.NewPCG(i, 2)), paths: []string{"/", "/a", "/b", "/b", "/sub", "/sub", "/two", "/two", "/none", "/missing", "/x", "/other", "/a.html"}}
			var requests []string
			for range 150 {
				requests = append(requests, g.request())
			}
			requests = append(requests, lastRequest)
			(&differential{
				site: site, http: variablesConfig(up), level: "error", requests: requests, logs: []string{"all", "json"}, brief: true,
				shown: func(_ *testing.T, answer string) string {
					return uidCookie.ReplaceAllString(shownRandom(answer), "uid=U;")
				}, line: plainError,
			}).run(t)
		})
	}
}
