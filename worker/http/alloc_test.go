package http

import (
	"net"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// rawClient is a blocking socket of which a round trip allocates nothing.
type rawClient struct {
	fd  int
	buf [4096]byte
}

func (ts *testServer) rawDial() *rawClient {
	ts.t.Helper()
	c, err := net.Dial("tcp", ts.addrs[0])
	if err != nil {
		ts.t.Fatal(err)
	}
	f, err := c.(*net.TCPConn).File()
	if err != nil {
		ts.t.Fatal(err)
	}
	ts.t.Cleanup(func() { _ = f.Close() })
	_ = c.Close()
	fd := int(f.Fd())
	if err := unix.SetNonblock(fd, false); err != nil {
		ts.t.Fatal(err)
	}
	return &rawClient{fd: fd}
}

// trip sends a request and reads what comes for it.
func (c *rawClient) trip(request []byte) int {
	if _, err := unix.Write(c.fd, request); err != nil {
		return -1
	}
	n, err := unix.Read(c.fd, c.buf[:])
	if err != nil {
		return -1
	}
	return n
}

var hotRequest = []byte("GET /a?b HTTP/1.1\r\nHost: x.example\r\nUser-Agent: test\r\nAccept: */*\r\nCookie: a=b\r\n\r\n")

const hotConf = `server { listen 127.0.0.1:8000; keepalive_requests 100000000;
	location / { return 200 "hello"; }
	location /var { return 200 "$uri $arg_x"; }
	location /body { test_handler body; } }
	server { listen 127.0.0.1:8000; server_name y *.z; }`

func TestNoAllocations(t *testing.T) {
	ts := serve(t, hotConf, testModule)
	c := ts.rawDial()
	for _, request := range []string{
		string(hotRequest),
		"GET /var/x%20y?x=1 HTTP/1.1\r\nHost: X.EXAMPLE:80\r\n\r\n",
		"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /%41/../b HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n",
		"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
	} {
		b := []byte(request)
		if n := testing.AllocsPerRun(500, func() {
			if c.trip(b) <= 0 {
				t.Fatalf("the connection is closed at %q", request)
			}
		}); n != 0 {
			t.Errorf("%v allocations for %q", n, request)
		}
	}
}

// TestConnSize: what an idle connection takes is this and 40 bytes of small things. The next size of the allocator's is 384.
func TestConnSize(t *testing.T) {
	if n := unsafe.Sizeof(Conn{}); n > 352 {
		t.Errorf("a Conn has %d bytes", n)
	}
}

func BenchmarkReturn(b *testing.B) {
	ts := serve(b, hotConf, testModule)
	c := ts.rawDial()
	b.ReportAllocs()
	for b.Loop() {
		if c.trip(hotRequest) <= 0 {
			b.Fatal("the connection is closed")
		}
	}
}
