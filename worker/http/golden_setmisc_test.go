package http

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// setMiscNames are the functions that make one value of another.
var setMiscNames = []string{
	"set_quote_sql_str", "set_quote_pgsql_str", "set_quote_json_str", "set_unescape_uri", "set_escape_uri", "set_encode_base32",
	"set_decode_base32", "set_encode_base64", "set_decode_base64", "set_encode_base64url", "set_decode_base64url", "set_encode_hex", "set_decode_hex",
	"set_sha1", "set_md5",
}

// setMiscServer has a location for each function. What it makes is shown in hexadecimal.
func setMiscServer() string {
	var b strings.Builder
	b.WriteString(`upstream_list universe moon earth sun; upstream_list one alone;
server { LISTEN; server_name example.com; default_type text/plain;` + "\n")
	for _, name := range setMiscNames {
		fmt.Fprintf(&b, "location /%s { set_unescape_uri $in $arg_v; %s $out $in; set_encode_hex $hex $out; return 200 \"$hex [$out]\\n\"; }\n", name, name)
		fmt.Fprintf(&b, "location /self/%s { set_unescape_uri $in $arg_v; %s $in; set_encode_hex $in; return 200 \"$in\\n\"; }\n", name, name)
	}
	b.WriteString(`
	location /empty { set_if_empty $a "[$arg_v]"; set $b $arg_v; set_if_empty $b "none"; set_if_empty $c ""; return 200 "$a $b $c\n"; }
	location /hmac { set_hmac_sha1 $a $arg_k $arg_v; set_hmac_sha256 $b $arg_k $arg_v; set_encode_base64 $a; set_encode_hex $b; return 200 "$a $b\n"; }
	location /nopad { set_base32_padding off; set_base32_alphabet "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"; set_encode_base32 $a $arg_v; set_decode_base32 $b $a; return 200 "$a $b\n"; }
	location /random { set_random $a 5 5; set_random $b $arg_f $arg_t; return 200 "$a $b\n"; }
	location /secure { set_secure_random_alphanum $a $arg_n; return 200 "$a\n"; }
	location /hashed { set_hashed_upstream $a universe $arg_k; set_hashed_upstream $b one $arg_k; return 200 "$a $b\n"; }
	location /hashedvar { set_hashed_upstream $a $arg_l $arg_k; return 200 "$a\n"; }
	location /lcalpha { set_secure_random_lcalpha $a $arg_n; return 200 "$a\n"; }
	location /rotate { set $a $arg_a; set_rotate $a 3 5; return 200 "$a\n"; }
	location /rotate2 { set_rotate $r $arg_f $arg_t; return 200 "$r\n"; }
	location /today { set_local_today $a; return 200 "$a\n"; }
	location /gmt { set_formatted_gmt_time $a "%Y-%m-%d %a %b %j %U %u %Z %%"; return 200 "$a\n"; }
	location /local { set_formatted_local_time $a "%Y-%m-%d %A %B %D"; return 200 "$a\n"; }
	location /notime { set_formatted_local_time $a ""; return 200 "[$a]\n"; }
	location /long { set_formatted_gmt_time $a "%1000Y"; return 200 "$a\n"; }
	location ~ ^/group/(.*)$ { set_sha1 $a $1; set_if_empty $b $1; return 200 "$a $b\n"; }
	location /if { if ($arg_x) { set_md5 $a $arg_x; } return 200 "[$a]\n"; }
}
`)
	return b.String()
}

// TestSetMiscAsNginx compares the set-misc module with OpenResty's.
func TestSetMiscAsNginx(t *testing.T) {
	all := ""
	for c := range 256 {
		all += fmt.Sprintf("%%%02X", c)
	}
	values := []string{"", "a", "ab", "abc", "abcd", "abcde", "abcdef", "hello%20world", "%C3%A4%E4%F0", "%C3%A4", "%E2%82%AC%F0%9F%98%80", all}
	special := map[string][]string{
		"set_unescape_uri":     {"%2541%2542+%2b", "%25", "%254", "%25zz", "%254z", "%25%254", "%2b+"},
		"set_decode_base32":    {"c5h66p35cpjmg===", "c4", "c5h66", "c5h66p3", "c5h66p35", "c5=h66", "=", "c", "c5h", "c5h66p"},
		"set_decode_base64":    {"aGVsbG8=", "aGVsbG8", "aGVsb!", "aGVsb", "aG%2Bb", "aG-_", "=", "aGVsbG8gd29ybGQ="},
		"set_decode_base64url": {"aG-_", "aG%2Bb", "aGVsbG8", "a"},
		"set_decode_hex":       {"41", "4", "4g", "4aBb", "00ff"},
	}
	var requests []string
	for _, name := range setMiscNames {
		from := values
		if strings.HasPrefix(name, "set_decode") {
			from = []string{"", "!!"} // what is not of base32 is undefined there
			if name == "set_decode_base32" {
				from = from[:1]
			}
		}
		for _, v := range append(from, special[name]...) {
			requests = append(requests, "GET /"+name+"?v="+v, "GET /self/"+name+"?v="+v)
		}
	}
	requests = append(requests, "GET /empty", "GET /empty?v=x", "GET /hmac?k=secret&v=text", "GET /hmac", "GET /nopad?v=a", "GET /nopad?v=hello", "GET /nopad",
		"GET /random?f=7&t=7", "GET /random?f=x&t=1", "GET /random?f=1&t=-1", "GET /random?f=1", "GET /hashed?k=a", "GET /hashed?k=b", "GET /hashed?k=ABC", "GET /hashed?k=abc", "GET /hashed?k=a-long-key-that-overflows-a-number-of-32-bits-for-sure-0123456789", "GET /hashed", "GET /hashedvar?l=universe&k=x", "GET /hashedvar?l=nix&k=x", "GET /hashedvar?k=x",
		"GET /secure?n=0", "GET /secure?n=65", "GET /secure?n=x", "GET /lcalpha",
		"GET /rotate", "GET /rotate", "GET /rotate", "GET /rotate", "GET /rotate?a=3", "GET /rotate", "GET /rotate?a=9", "GET /rotate?a=x", "GET /rotate?a=0",
		"GET /rotate2?f=9&t=7", "GET /rotate2?f=7&t=9", "GET /rotate2?f=a&t=9", "GET /rotate2?f=1&t=",
		"GET /notime", "GET /long", "GET /group/abc", "GET /group/a%20c", "GET /if?x=1", "GET /if")
	sameAnswers(t, setMiscServer(), requests, "ndk_http_module", "ngx_http_set_misc_module")
}

// TestSetMiscTimes compares what changes with the day; both are asked again if it has.
func TestSetMiscTimes(t *testing.T) {
	if !askPeers() {
		t.Skip("for make test-peers")
	}
	modules := loadModules(t, "ndk_http_module", "ngx_http_set_misc_module")
	theirs := startNginxWith(t, modules, setMiscServer())[0]
	ours := startServer(t, t.TempDir(), setMiscServer())[0]
	for _, r := range []string{"GET /today", "GET /gmt", "GET /local"} {
		var got, want string
		for range 2 {
			_, want = answerOf(t, ask(t, theirs, wire(r)))
			if _, got = answerOf(t, ask(t, ours, wire(r))); got == want {
				break
			}
		}
		if got != want {
			t.Errorf("%s: %q, nginx %q", r, got, want)
		}
	}
}

// TestSetMiscRandom checks the shape of what cannot be compared.
func TestSetMiscRandom(t *testing.T) {
	ts := serve(t, `server { listen 127.0.0.1:8000;
		location /r { set_random $a 9 3; return 200 "$a"; }
		location /s { set_secure_random_alphanum $a 64; return 200 "$a"; }
		location /l { set_secure_random_lcalpha $a 20; return 200 "$a"; } }`)
	for path, want := range map[string]string{"/r": "^[3-9]$", "/s": "^[a-zA-Z0-9]{64}$", "/l": "^[a-z]{20}$"} {
		seen := make(map[string]bool)
		for range 50 {
			_, body := answerOf(t, ask(t, ts.addrs[0], "GET "+path+" HTTP/1.0\r\n\r\n"))
			if !regexp.MustCompile(want).MatchString(body) {
				t.Fatalf("%s: %q", path, body)
			}
			seen[body] = true
		}
		if len(seen) < 4 {
			t.Errorf("%s: only %v", path, seen)
		}
	}
}

func TestSetMiscConfiguration(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`server { set_md5 a b; }`, `invalid variable name "a"`},
		{`server { set_md5 $; }`, `invalid variable name "$"`},
		{`server { set_md5 $uri b; }`, `the duplicate "uri" variable`},
		{`server { set_md5 $a $nix; }`, `unknown "nix" variable`},
		{`server { set_hmac_sha1 $a b; }`, `invalid number of arguments in "set_hmac_sha1" directive`},
		{`set_base32_alphabet abc;`, `"set_base32_alphabet" directive takes an alphabet of 3 bytes but 32 expected`},
		{`upstream_list u a; upstream_list u b;`, `duplicate upstream list name "u"`},
		{`upstream_list u;`, `invalid number of arguments in "upstream_list" directive`},
		{`server { set_hashed_upstream $a u $uri; }`, `set_hashed_upstream: upstream list "u" not defined yet`},
		{`set_md5 $a b;`, `"set_md5" directive is not allowed here`},
	} {
		wantConfError(t, c.text, c.want)
	}
}
