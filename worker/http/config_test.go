package http

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"perilune/conf"
)

// configErrors are http blocks that must be refused.
var configErrors = []string{
	"log_format f '$nope';",
	"log_format f '${a';",
	"log_format f '$';",
	"log_format f '$ x';",
	"log_format f escape=html x;",
	"log_format f a; log_format f b;",
	"log_format combined a;",
	"access_log a.log nope;",
	"access_log off combined;",
	"access_log a.log combined nope;",
	"access_log a.log combined if=$nope;",
	"access_log a.log combined buffer=x;",
	"access_log a.log combined buffer=0;",
	"access_log a.log combined flush=1s;",
	"access_log a.log combined buffer=1k flush=x;",
	"access_log a.log combined gzip=0;",
	"access_log a.log combined gzip=10;",
	"access_log a.log combined buffer=1k; server { access_log a.log combined buffer=2k; }",
	"access_log a.log combined buffer=1k; server { access_log a.log combined buffer=1k flush=1s; }",
	"access_log a-$host.log combined buffer=1k;",
	"access_log a-$nope.log;",
	"access_log syslog:server=unix:/x combined buffer=1k;",
	"access_log syslog:server=127.0.0.1:0;",
	"access_log syslog:server=;",
	"access_log syslog:server=unix:;",
	"access_log syslog:server=[::1;",
	"access_log syslog:facility=user;",
	"access_log syslog:server=127.0.0.1,server=127.0.0.1;",
	"access_log syslog:server=127.0.0.1,facility=none;",
	"access_log syslog:server=127.0.0.1,severity=err;",
	"access_log syslog:server=127.0.0.1,severity=warn,severity=warn;",
	"access_log syslog:server=127.0.0.1,tag=a-b;",
	"access_log syslog:server=127.0.0.1,tag=a,tag=b;",
	"access_log syslog:server=127.0.0.1,tag=" + strings.Repeat("t", 33) + ";",
	"access_log syslog:server=127.0.0.1,odd;",
	"access_log syslog:server=127.0.0.1 nope;",
	"error_log syslog:facility=user;",
	"error_log syslog:server=127.0.0.1 verbose;",
	"error_log memory:x debug;",
	"error_log memory:100 debug;",
	"open_log_file_cache max=0;",
	"open_log_file_cache inactive=1s;",
	"open_log_file_cache max=1 valid=x;",
	"open_log_file_cache max=1 min_uses=0;",
	"open_log_file_cache nope;",
	"open_log_file_cache off; open_log_file_cache off;",
	"server { return 200 $nope; }",
	"server { return 200 '${'; }",
	"server { return 200 '${a'; }",
	"server { return 200 '$'; }",
	"server { return 1000; }",
	"server { return x; }",
	"server { return /x; }",
	"server { return 200 a b; }",
	"root a; root b;",
	"server { location /a { root x; alias y; } }",
	"server { location /a { alias x; root y; } }",
	"server { location /a { alias x; alias y; } }",
	"server { location @a { alias x; } }",
	"root $document_root/x;",
	"root '${realpath_root}';",
	"root $nope;",
	"alias x;",
	"index '';",
	"if_modified_since maybe;",
	"etag maybe;",
	"max_ranges x;",
	"max_ranges 1; max_ranges 2;",
	"types { a b; } types;",
	"types_hash_max_size x;", "types_hash_bucket_size 1; types_hash_bucket_size 2;", "gzip maybe;", "gzip on; gzip off;", "gzip_comp_level 0;", "gzip_comp_level 10;", "gzip_comp_level x;", "gzip_types;", "gzip_min_length x;", "gzip_min_length 1; gzip_min_length 2;", "gzip_buffers 4;", "gzip_buffers 0 4k;",
	"gzip_proxied maybe;", "gzip_http_version 2.0;", "gzip_vary x;", "gzip_static maybe;", "gzip_static on; gzip_static on;", "gunzip maybe;", "gunzip_buffers x y;",
	"sub_filter '' x;", "sub_filter x;", "sub_filter $nope x;", "sub_filter x '${';", "sub_filter_once maybe;", "sub_filter_once on; sub_filter_once on;", "sub_filter_last_modified x;",
	"server { " + strings.Repeat("sub_filter a b; ", 256) + "}", "add_before_body /a; add_before_body /b;", "add_before_body;", "charset utf-8; charset utf-8;", "charset $nope;", "charset;", "override_charset x;",
	"server { charset utf-8; source_charset koi8-r; }", "server { if ($host) { gzip_vary on; } }", "server { location / { if ($host) { sub_filter a b; } } }",
	"add_trailer a;", "add_trailer a b c;", "add_trailer a $nope;", "limit_rate x;", "limit_rate 1k; limit_rate 2k;", "limit_rate $nope;", "limit_rate_after -1;", "sendfile_max_chunk x;", "output_buffers 1;", "output_buffers 0 1;",
	"read_ahead x;", "disable_symlinks maybe;", "disable_symlinks on off;", "disable_symlinks from=x;", "disable_symlinks off from=x;", "disable_symlinks on; disable_symlinks on;", "disable_symlinks on from=$nope;",
	"open_file_cache on;", "open_file_cache max=0;", "open_file_cache max=x;", "open_file_cache inactive=1s;", "open_file_cache max=1 inactive=x;", "open_file_cache max=1; open_file_cache off;", "open_file_cache_valid x;",
	"open_file_cache_min_uses x;", "open_file_cache_errors x;", "etag on; etag on;",
	"types { include a b; }",
	"server { server_name *; }",
	"server { server_name a*b; }",
	"server { server_name *.*; }",
	"server { server_name .; }",
	"server { server_name a..b; }",
	"server { server_name ~; }",
	"server { location /a { } location /a { } }",
	"server { location = /a { } location = /a { } }",
	"server { location ^~ /a { } location /a { } }",
	"server { location @a { } location @a { } }",
	"server { location = /a { location /a/b { } } }",
	"server { location /a { location /b { } } }",
	"server { location /a { location @b { } } }",
	"server { location !~ /a { } }",
	"server { location ~ '^/(?<uri>.)' { } }",
	"server { location ~ '^/(?<mine>.)' { return 200 $mine$nope; } }",
}

// TestConfigErrorsAsNginx compares the messages with nginx's, for one and the same file.
func TestConfigErrorsAsNginx(t *testing.T) {
	bin, err := exec.LookPath("nginx")
	if err != nil {
		t.Skip("no nginx to compare with")
	}
	if os.Geteuid() != 0 {
		t.Skip("nginx opens its own log even to test a file, which is root's")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "nginx.conf")
	if err := os.Mkdir(filepath.Join(dir, "logs"), 0o755); err != nil {
		t.Fatal(err)
	}
	message := regexp.MustCompile(`nginx: \[emerg\] (.*)`)
	for _, text := range configErrors {
		text = "pid " + dir + "/pid;\nevents {}\nhttp {\nlarge_client_header_buffers 4 8k;\n" + text + "\n}\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, _ := exec.Command(bin, "-t", "-p", dir, "-c", file, "-e", dir+"/error.log").CombinedOutput()
		want := "accepted"
		if m := message.FindSubmatch(out); m != nil {
			want = string(m[1])
		}
		got := "accepted"
		if _, err := conf.Load(conf.Options{Prefix: dir, ConfFile: file, TestOnly: true, Modules: append(conf.Modules(), Modules()...)}); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s\n got: %s\nwant: %s", strings.Split(text, "\n")[4], got, want)
		}
	}
}

// TestConfigRefused has what nginx would take and this server does not: the messages say so.
func TestConfigRefused(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "nginx.conf")
	for text, want := range map[string]string{
		"server { return 200 $no_such_name; }": `unknown "no_such_name" variable`,
	} {
		if err := os.WriteFile(file, []byte("events {}\nhttp {\n"+text+"\n}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := conf.Load(conf.Options{Prefix: dir, ConfFile: file, TestOnly: true, Modules: append(conf.Modules(), Modules()...)})
		if err == nil || err.Error() != want {
			t.Errorf("%s\n got: %v\nwant: %s", text, err, want)
		}
	}
}
