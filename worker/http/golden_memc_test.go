package http

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// memcScript are the answers of the test's server to keys that are not in its store.
var memcScript = map[string]string{
	"pieces":   "VAL" + PAUSE + "UE pieces 5 11\r" + PAUSE + "\nhello" + PAUSE + " world\r" + PAUSE + "\nEN" + PAUSE + "D\r\n",
	"badkey":   "VALUE other 0 1\r\nx\r\nEND\r\n" + CLOSE,
	"badlen":   "VALUE badlen 0 x\r\nx\r\nEND\r\n" + CLOSE,
	"badflags": "VALUE badflags y 1\r\nx\r\nEND\r\n" + CLOSE,
	"noflags":  "VALUE noflags 1\r\nx\r\nEND\r\n" + CLOSE,
	"badend":   "VALUE badend 0 1\r\nx\r\nXND\r\n" + CLOSE,
	"badend2":  "VALUE badend2 0 1\r\nx\r\nE" + PAUSE + "XD\r\n" + CLOSE,
	"rubbish":  "RUBBISH\r\n" + CLOSE,
	"nocr":     "END\n" + CLOSE,
	"empty":    "VALUE empty 0 0\r\n\r\nEND\r\n",
	"gzip":     "VALUE gzip 6 1\r\nx\r\nEND\r\n",
	"time":     "VALUE time 1700000000 1\r\nx\r\nEND\r\n",
	"short":    "VALUE short 0 10\r\nshort" + CLOSE,
	"closes":   CLOSE,
	"hangs":    WAIT,
	"error":    "ERROR\r\n",
	"client":   "CLIENT_ERROR bad data chunk\r\n",
	"server":   "SERVER_ERROR out of memory\r\n",
	"stores":   "STORxD\r\n" + CLOSE,
	"exists":   "EXISTS\r\n",
	"cut":      "STO" + PAUSE + "RED\r" + PAUSE + "\n",
	"spaces":   "12   \r\n",
	"number":   "x12\r\n" + CLOSE,
	"big":      "VALUE big 0 100000\r\n" + strings.Repeat("0123456789", 10000) + "\r\nEND\r\n",
}

// startMemcached starts a server that knows what the tests need of memcached's protocol, and answers from the script.
func startMemcached(t testing.TB) (addr string, counts func() (conns, open int)) {
	t.Helper()
	store := make(map[string]string)
	s := &scripted{t: t}
	s.listen(func(c *net.TCPConn) { serveMemcached(c, &s.mu, store) })
	return s.addr, s.counts
}

func serveMemcached(c *net.TCPConn, mu *sync.Mutex, store map[string]string) {
	_ = c.SetDeadline(time.Now().Add(patience))
	rd := bufio.NewReader(c)
	for {
		line, err := rd.ReadString('\n')
		if err != nil {
			return
		}
		f := append(strings.Fields(line), "", "", "", "", "")
		value := ""
		if strings.Contains("set add replace append prepend", f[0]) {
			n, _ := strconv.Atoi(f[4])
			data := make([]byte, n+2)
			if _, err := io.ReadFull(rd, data); err != nil {
				return
			}
			value = string(data[:n])
		}
		mu.Lock()
		answer := memcachedAnswer(store, f, value)
		mu.Unlock()
		if !play(c, rd, answer) {
			return
		}
	}
}

func memcachedAnswer(store map[string]string, f []string, value string) string {
	if answer, found := memcScript[f[1]]; found {
		return answer
	}
	old, found := store[f[1]]
	flags, data, _ := strings.Cut(old, " ")
	stored := func(ok bool, flags, data string) string {
		if !ok {
			return "NOT_STORED\r\n"
		}
		store[f[1]] = flags + " " + data
		return "STORED\r\n"
	}
	switch f[0] {
	case "get":
		if !found {
			return "END\r\n"
		}
		return fmt.Sprintf("VALUE %s %s %d\r\n%s\r\nEND\r\n", f[1], flags, len(data), data)
	case "set":
		return stored(true, f[2], value)
	case "add":
		return stored(!found, f[2], value)
	case "replace":
		return stored(found, f[2], value)
	case "append":
		return stored(found, flags, data+value)
	case "prepend":
		return stored(found, flags, value+data)
	case "delete":
		delete(store, f[1])
		if !found {
			return "NOT_FOUND\r\n"
		}
		return "DELETED\r\n"
	case "incr", "decr":
		n, err := strconv.Atoi(data)
		by, _ := strconv.Atoi(f[2])
		if !found {
			return "NOT_FOUND\r\n"
		}
		if err != nil {
			return "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n"
		}
		if f[0] == "decr" {
			by = -by
		}
		store[f[1]] = flags + " " + strconv.Itoa(n+by)
		return strconv.Itoa(n+by) + "\r\n"
	case "flush_all":
		clear(store)
		return "OK\r\n"
	case "version":
		return "VERSION 1.6.18\r\n"
	case "stats":
		return "STAT pid 1\r\nSTAT version 1.6.18\r\nEND\r\n"
	}
	return "ERROR\r\n"
}

const memcServer = `
upstream memcs { server MEMC; keepalive 4; }
upstream two { server 127.0.0.1:1; server MEMC; }
upstream nots { server MEMC; server MEMC; }
server { LISTEN; server_name example.com; root SITE; memc_read_timeout 300ms; memcached_read_timeout 300ms; default_type text/plain;
	log_format memc '$upstream_addr|$upstream_status|$upstream_response_length|$upstream_bytes_received|$upstream_bytes_sent|$status';
	access_log ACCESS memc;
	location = /m { set $memc_cmd $arg_cmd; set $memc_key $arg_key; set $memc_flags $arg_flags; set $memc_exptime $arg_exptime; set $memc_value $arg_val; add_header X-Flags $memc_flags; memc_pass memcs; }
	location = /body { set $memc_cmd $arg_cmd; set $memc_key $arg_key; add_header X-M "$memc_cmd $memc_flags $memc_exptime" always; memc_pass MEMC; }
	location = /bare { set $memc_key $arg_key; memc_pass two; }
	location = /nokey { memc_pass memcs; }
	location = /var { set $memc_key $arg_key; memc_pass $arg_up; }
	location = /allowed { set $memc_cmd $arg_cmd; set $memc_key $arg_key; set $memc_value 1; memc_cmds_allowed get incr; memc_pass memcs; }
	location = /time { set $memc_key $arg_key; memc_flags_to_last_modified on; add_header X-Time $memc_flags_as_http_time; memc_pass memcs; }
	location = /pages { set $memc_cmd $arg_cmd; set $memc_key $arg_key; set $memc_value 1; error_page 404 /a.html; error_page 502 = /b.txt; memc_pass memcs; }
	location = /next { set $memc_key $arg_key; memc_next_upstream not_found invalid_response; memc_pass nots; }
	location = /refused { set $memc_key a; memc_pass 127.0.0.1:1; }
	location = /small { set $memc_cmd $arg_cmd; set $memc_key $arg_key; memc_buffer_size 32; memc_pass memcs; }
	location = /if { set $memc_key $arg_key; if ($arg_x) { memc_pass memcs; } return 200 no; }
	location = /if2 { set $memc_key $arg_key; if ($arg_x) { add_header X-If yes; } memc_pass memcs; }
	location = /gz { set $memcached_key $arg_key; memcached_gzip_flag 2; memcached_pass memcs; }
	location = /own { set $memcached_key $arg_key; memcached_pass memcs; }
	location = /own2 { set $memcached_key $arg_key; memcached_pass nots; memcached_next_upstream not_found; }
	location = /ownpages { set $memcached_key $arg_key; error_page 404 502 504 = /a.html; memcached_pass memcs; }
	location = /ownuri { set $memcached_key "$uri?$args"; memcached_pass memcs; }
	location /slash/ { set $memcached_key $arg_key; memcached_pass memcs; }
}
`

var memcRequests = []string{
	"GET /m?cmd=flush_all", // the server is one for both
	"GET /m?cmd=set&key=foo&val=bar&flags=7", "GET /m?cmd=get&key=foo", "HEAD /m?cmd=get&key=foo", "GET /m?key=foo", "GET /m?cmd=add&key=foo&val=x", "GET /m?cmd=replace&key=foo&val=y&exptime=9", "GET /m?key=foo",
	"GET /m?cmd=append&key=foo&val=z", "GET /m?cmd=prepend&key=foo&val=a", "GET /m?key=foo", "GET /m?cmd=delete&key=foo", "GET /m?cmd=delete&key=foo", "GET /m?key=foo", "HEAD /m?key=foo", "GET /m?cmd=delete&key=foo&exptime=3",
	"GET /m?cmd=set&key=n&val=41", "GET /m?cmd=incr&key=n&val=1", "GET /m?cmd=decr&key=n&val=2", "GET /m?cmd=incr&key=nix&val=1", "GET /m?cmd=incr&key=n", "GET /m?cmd=incr&key=n&val=x", "GET /m?cmd=incr&key=n&val=123456789012345678901",
	"GET /m?cmd=set&key=t&val=text", "GET /m?cmd=incr&key=t&val=1", "GET /m?cmd=version", "HEAD /m?cmd=version", "GET /m?cmd=stats", "GET /m?cmd=flush_all", "GET /m?cmd=flush_all&exptime=3", "GET /m?cmd=flush_all&exptime=x", "GET /m?key=t",
	"GET /m?cmd=nonsense&key=a", "GET /m?cmd=set&key=a&flags=x&val=1", "GET /m?cmd=set&key=a&exptime=x&val=1", "GET /m?cmd=set&key=a&flags=12345678901&val=1", "GET /m?cmd=set&key=a&val=", "GET /m?cmd=set&val=1", "GET /m?cmd=get", "GET /m?cmd=delete", "GET /m?cmd=incr&val=1",
	"GET /m?cmd=set&key=a%20b&val=1", "GET /m?cmd=get&key=a%20b", "GET /m?cmd=set&key=exists&val=1", "GET /m?cmd=set&key=error&val=1", "GET /m?cmd=set&key=client&val=1", "GET /m?cmd=set&key=server&val=1", "GET /m?cmd=set&key=stores&val=1", "GET /m?cmd=set&key=cut&val=1",
	"GET /m?cmd=incr&key=spaces&val=1", "GET /m?cmd=incr&key=number&val=1", "GET /m?cmd=delete&key=error", "GET /m?cmd=delete&key=rubbish", "GET /m?cmd=set&key=closes&val=1", "GET /m?cmd=set&key=hangs&val=1",
	"GET /m?key=pieces", "GET /m?key=badkey", "GET /m?key=badlen", "GET /m?key=noflags", "GET /m?key=badend", "GET /m?key=badend2", "GET /m?key=rubbish", "GET /m?key=empty", "HEAD /m?key=empty", "GET /m?key=closes", "GET /m?key=hangs", "GET /m?key=error", "GET /m?key=big",
	"POST /body?key=p|Content-Length: 5|\nhello", "PUT /body?key=p|Content-Length: 3|\nput", "GET /body?key=p", "DELETE /body?key=p", "POST /body?key=q|Transfer-Encoding: chunked|\n5\r\nhello\r\n0\r\n\r\n", "PUT /body?key=p", "POST /body?key=p", "OPTIONS /body?key=p", "MKCOL /body?key=p", "POST /body?key=q&cmd=append|Content-Length: 2|\n!!", "GET /body?key=q",
	"PUT /body?key=large|Content-Length: 60000|\n" + strings.Repeat("0123456789", 6000), "GET /body?key=large",
	"GET /bare?key=q", "GET /bare?key=q", "GET /nokey", "GET /var?key=q&up=memcs", "GET /var?key=q&up=MEMCS", "GET /var?key=q", "GET /var?key=q&up=nix", "GET /allowed?key=q", "GET /allowed?key=q&cmd=set", "GET /allowed?cmd=flush_all", "GET /allowed?key=n&cmd=incr",
	"GET /time?key=time", "GET /time?key=time|If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT", "GET /time?key=pieces", "GET /pages?key=nix", "GET /pages?key=error&cmd=set", "GET /pages?key=rubbish", "GET /pages?cmd=delete&key=nix",
	"GET /next?key=nix", "GET /next?key=rubbish", "GET /refused", "GET /small?key=q", "GET /small?cmd=stats", "GET /small?key=big", "GET /if?x=1&key=q", "GET /if?key=q", "GET /if2?x=1&key=q", "GET /if2?key=q",
	"GET /gz?key=gzip", "GET /gz?key=q", "GET /gz?key=badflags", "GET /own?key=gzip", "GET /own?key=nix", "HEAD /own?key=q", "POST /own?key=q|Content-Length: 2|\nab", "GET /own?key=q|Range: bytes=1-2", "GET /own?key=q|Range: bytes=1-1,3-3", "GET /own", "GET /own?key=badend", "GET /own?key=badend2", "GET /own?key=nocr", "GET /own?key=noflags",
	"GET /own?key=badlen", "GET /own?key=badkey", "GET /own?key=rubbish", "GET /own?key=closes", "GET /own?key=hangs", "GET /own?key=pieces", "GET /own?key=big", "GET /own2?key=nix", "GET /ownpages?key=nix", "GET /ownpages?key=closes", "GET /ownuri?x%20y", "GET /slash", "GET /slash/?key=q",
	"GET /own?key=q HTTP/1.0\r\n\r\n", "GET /own?key=q\r\n", "GET /m?cmd=version HTTP/1.0\r\n\r\n",
}

// TestMemcAsNginx compares both modules that speak to memcached with nginx's: answers, access log and error log.
func TestMemcAsNginx(t *testing.T) {
	addr, _ := startMemcached(t)
	config := strings.ReplaceAll(memcServer, "MEMC", addr)
	begin, end := strings.Index(config, "\tlog_format memc"), strings.Index(config, "\taccess_log")
	config = config[begin:end] + config[:begin] + strings.Replace(config[end:], "access_log ACCESS memc;", "", 1)
	sameAnswers(t, config, memcRequests, "ngx_http_memc_module")
}
