package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// reply is a response as it came.
type reply struct {
	status  int
	line    string
	names   []string // of the header, in their order
	header  http.Header
	body    string
	chunked bool
	raw     string
}

// conn is a client's connection that sends what the test says, byte by byte.
type conn struct {
	t testing.TB
	net.Conn
	r *bufio.Reader
}

func (s *server) dial() *conn { s.t.Helper(); return dialTo(s.t, "tcp", s.addr) }

func dialTo(t testing.TB, network, addr string) *conn {
	t.Helper()
	c, err := net.DialTimeout(network, addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return &conn{t, c, bufio.NewReader(c)}
}

func (c *conn) send(text string) *conn {
	c.t.Helper()
	if _, err := io.WriteString(c.Conn, text); err != nil {
		c.t.Fatalf("send: %v", err)
	}
	return c
}

// read reads one response to a request of that method.
func (c *conn) read(method string) *reply {
	c.t.Helper()
	rep, err := readReply(c.r, method)
	if err != nil {
		c.t.Fatalf("reading a response: %v", err)
	}
	return rep
}

// all reads until the server closes.
func (c *conn) all() string {
	c.t.Helper()
	b, err := io.ReadAll(c.r)
	c.Close() // the server may linger for it
	if err != nil {
		c.t.Fatalf("reading to the end: %v after %q", err, b)
	}
	return string(b)
}

// closed fails unless the server closes without sending anything more.
func (c *conn) closed() {
	c.t.Helper()
	if rest := c.all(); rest != "" {
		c.t.Fatalf("the connection goes on with %q", rest)
	}
}

// readReply reads one response, and nothing behind it.
func readReply(r *bufio.Reader, method string) (*reply, error) {
	rep := &reply{header: make(http.Header)}
	var raw strings.Builder
	readLine := func() (string, error) {
		line, err := r.ReadString('\n')
		raw.WriteString(line)
		if err == nil && !strings.HasSuffix(line, "\r\n") {
			err = fmt.Errorf("line without CRLF: %q", line)
		}
		return strings.TrimSuffix(line, "\r\n"), err
	}
	var err error
	if rep.line, err = readLine(); err != nil {
		return nil, err
	}
	if _, err := fmt.Sscanf(rep.line, "HTTP/1.1 %d", &rep.status); err != nil {
		return nil, fmt.Errorf("status line %q", rep.line)
	}
	for {
		line, err := readLine()
		if err != nil {
			return nil, err
		}
		if line == "" {
			break
		}
		name, value, _ := strings.Cut(line, ": ")
		rep.names = append(rep.names, name)
		rep.header.Add(name, value)
	}
	if method != "HEAD" && rep.status != 304 && rep.status != 204 && rep.status >= 200 {
		rep.chunked = rep.header.Get("Transfer-Encoding") == "chunked"
		rep.body, err = readBody(r, rep)
	}
	rep.raw = raw.String() + rep.body
	return rep, err
}

func readBody(r *bufio.Reader, rep *reply) (string, error) {
	if rep.chunked {
		return readChunks(r)
	}
	if length := rep.header.Get("Content-Length"); length != "" {
		n, err := strconv.Atoi(length)
		if err != nil {
			return "", err
		}
		body := make([]byte, n)
		n, err = io.ReadFull(r, body)
		return string(body[:n]), err
	}
	body, err := io.ReadAll(r)
	return string(body), err
}

func readChunks(r *bufio.Reader) (string, error) {
	var body strings.Builder
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return body.String(), err
		}
		size, err := strconv.ParseInt(strings.TrimSuffix(line, "\r\n"), 16, 64)
		if err != nil {
			return body.String(), err
		}
		if _, err := io.CopyN(&body, r, size); err != nil {
			return body.String(), err
		}
		if end, err := r.ReadString('\n'); err != nil || end != "\r\n" {
			return body.String(), fmt.Errorf("behind a chunk: %q, %v", end, err)
		}
		if size == 0 {
			return body.String(), nil
		}
	}
}

// get asks for a path on a connection of its own.
func (s *server) get(path string) *reply {
	s.t.Helper()
	c := s.dial()
	defer c.Close()
	return c.send("GET " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").read("GET")
}

// post sends a body and reads the response.
func (s *server) post(path, body string) *reply {
	s.t.Helper()
	c := s.dial()
	defer c.Close()
	return c.send(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s",
		path, len(body), body)).read("POST")
}

// expect fails unless the response has that status and body.
func (r *reply) expect(t testing.TB, status int, body string) *reply {
	t.Helper()
	if r.status != status || r.body != body {
		t.Errorf("got %d %q, want %d %q", r.status, r.body, status, body)
	}
	return r
}

// curl runs curl and returns its output; the test is skipped without curl.
func curl(t testing.TB, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed")
	}
	out, err := exec.Command("curl", append([]string{"-q", "--noproxy", "*", "-sS", "-m", "60"}, args...)...).Output()
	if err != nil {
		t.Fatalf("curl %v: %v: %s", args, err, out)
	}
	return string(out)
}
