package http

import (
	"bytes"
	"fmt"
	"testing"
)

// parsedLine is what the tests look at of a request line.
func parsedLine(buf []byte, l *RequestLine) string {
	s := fmt.Sprintf("%s|%s|%d", buf[l.Start:l.MethodEnd], buf[l.URI:l.URIEnd], l.Version)
	if l.HasArgs {
		s += fmt.Sprintf("|args=%s", buf[l.Args:l.URIEnd])
	}
	if l.HasHost {
		s += fmt.Sprintf("|host=%s", buf[l.Host:l.HostEnd])
	}
	if l.HasScheme {
		s += fmt.Sprintf("|scheme=%s", buf[l.Scheme:l.SchemeEnd])
	}
	if l.Exten != 0 {
		s += fmt.Sprintf("|ext=%s", buf[l.Exten:l.PathEnd()])
	}
	if l.Protocol != 0 {
		s += fmt.Sprintf("|%s", buf[l.Protocol:l.End])
	}
	if !l.Simple() {
		s += "|complex"
	}
	return s
}

func TestRequestLine(t *testing.T) {
	for _, c := range []struct {
		in   string
		want string // of parsedLine, or a status
	}{
		{"GET / HTTP/1.1\r\n", "GET|/|1001|HTTP/1.1"},
		{"GET /a/b.html?x=1&y HTTP/1.0\r\n", "GET|/a/b.html?x=1&y|1000|args=x=1&y|ext=html|HTTP/1.0"},
		{"\r\n\r\nGET / HTTP/1.1\r\n", "GET|/|1001|HTTP/1.1"},
		{"GET /\r\n", "GET|/|9"},
		{"GET / \r\n", "GET|/|9"},
		{"FOO_BAR-X / HTTP/1.1\r\n", "FOO_BAR-X|/|1001|HTTP/1.1"},
		{"GET   /x   HTTP/1.1  \r\n", "GET|/x|1001|HTTP/1.1  "},
		{"GET /a//b HTTP/1.1\r\n", "GET|/a//b|1001|HTTP/1.1|complex"},
		{"GET /a/./b HTTP/1.1\r\n", "GET|/a/./b|1001|HTTP/1.1|complex"},
		{"GET /a%20b HTTP/1.1\r\n", "GET|/a%20b|1001|HTTP/1.1|complex"},
		{"GET /a#b HTTP/1.1\r\n", "GET|/a#b|1001|HTTP/1.1|complex"},
		{"GET /a?b#c HTTP/1.1\r\n", "GET|/a?b#c|1001|args=b#c|HTTP/1.1|complex"},
		{"GET /a+b HTTP/1.1\r\n", "GET|/a+b|1001|HTTP/1.1"},
		{"GET http://ExAmple.com:81/p?q HTTP/1.1\r\n",
			"GET|/p?q|1001|args=q|host=ExAmple.com:81|scheme=http|HTTP/1.1"},
		{"GET http://h HTTP/1.1\r\n", "GET|/|1001|host=h|scheme=http|HTTP/1.1"},
		{"GET http://h?x HTTP/1.1\r\n", "GET|?x|1001|args=x|host=h|scheme=http|HTTP/1.1|complex"},
		{"GET http://[::1]:80/ HTTP/1.1\r\n", "GET|/|1001|host=[::1]:80|scheme=http|HTTP/1.1"},
		{"CONNECT h:443 HTTP/1.1\r\n", "CONNECT|/|1001|host=h:443|HTTP/1.1"},
		{"GET / HTTP/1.12\r\n", "GET|/|1012|HTTP/1.12"},
		{"GET / HTTP/2.0\r\n", "505"},
		{"GET / HTTP/11.0\r\n", "505"},
		{"GET / HTTP/0.9\r\n", "400"},
		{"GET / HTTP/1.1000\r\n", "400"},
		{"GET / HTTP/1.\r\n", "400"},
		{"GET / HTTP/1.1 x\r\n", "400"},
		{"GET / http/1.1\r\n", "400"},
		{"GET / HTTP/1.1\n", "400"},
		{"GET / HTTP/1.1\r\r\n", "400"},
		{"GET /\n", "400"},
		{"\nGET / HTTP/1.1\r\n", "400"},
		{"\rGET / HTTP/1.1\r\n", "400"},
		{"POST /\r\n", "400"},
		{"get / HTTP/1.1\r\n", "400"},
		{"GET\t/ HTTP/1.1\r\n", "400"},
		{"GET x HTTP/1.1\r\n", "400"},
		{"GET /\x00 HTTP/1.1\r\n", "400"},
		{"GET /\x7f HTTP/1.1\r\n", "400"},
		{"GET /a?\x01 HTTP/1.1\r\n", "400"},
		{"GET http:/x HTTP/1.1\r\n", "400"},
		{"GET http://u@h/ HTTP/1.1\r\n", "400"},
		{"CONNECT h HTTP/1.1\r\n", "400"},
		{"\x16\x03\x01\x02", "400"},
	} {
		var l RequestLine
		got := statusText(l.Parse([]byte(c.in)), func() string { return parsedLine([]byte(c.in), &l) })
		if got != c.want {
			t.Errorf("%q: %s, want %s", c.in, got, c.want)
		}
		if again := lineBytewise(c.in); again != got {
			t.Errorf("%q byte by byte: %s, want %s", c.in, again, got)
		}
	}
}

func statusText(st ParseStatus, done func() string) string {
	switch {
	case st.Failed():
		return fmt.Sprint(st.HTTPStatus())
	case st == ParseAgain:
		return "again"
	}
	return done()
}

// lineBytewise parses with one byte more each time, moving the line to a new buffer now and then.
func lineBytewise(in string) string {
	var l RequestLine
	buf := []byte{}
	for i := range len(in) {
		buf = append(buf, in[i])
		st := l.Parse(buf)
		if st != ParseAgain {
			return statusText(st, func() string { return parsedLine(buf, &l) })
		}
		if i%3 == 2 && !l.Idle() {
			buf = bytes.Clone(buf[l.Start:])
			l.Rebase()
		}
	}
	return "again"
}

func TestRequestLineStopsBehindLine(t *testing.T) {
	in := []byte("GET / HTTP/1.1\r\nHost: a\r\n")
	var l RequestLine
	if st := l.Parse(in); st != ParseDone || l.Pos != 16 {
		t.Errorf("status %d, position %d", st, l.Pos)
	}
}

// FuzzRequest checks that request line and headers are parsed alike however the input is cut, and that no line that is
// accepted holds a bare CR, a bare LF or a NUL.
func FuzzRequest(f *testing.F) {
	f.Add([]byte("GET /a?b HTTP/1.1\r\nHost: x\r\nA: b \r\n\r\n"), uint8(3))
	f.Add([]byte("\r\nPOST http://a:1/%2e%2E HTTP/1.0\r\nX_y: \r\nContent-Length: 5\r\n\r\nhello"), uint8(1))
	f.Add([]byte("GET / HTTP/1.1\r\nA : b\r\n\r\n"), uint8(7))
	f.Fuzz(func(t *testing.T, in []byte, step uint8) {
		whole := parseWhole(in, len(in))
		if parts := parseWhole(in, int(step)%7+1); parts != whole {
			t.Errorf("%q\nwhole: %s\nparts: %s", in, whole, parts)
		}
	})
}

// parseWhole parses a request's header, getting step bytes at a time, and describes what it found.
func parseWhole(in []byte, step int) string {
	var l RequestLine
	var h HeaderLine
	inHeader := false
	var out bytes.Buffer
	for n := min(step, len(in)); ; n = min(n+step, len(in)) {
		buf := in[:n]
		for {
			var st ParseStatus
			if !inHeader {
				st = l.Parse(buf)
			} else {
				st = h.Parse(buf, false)
			}
			if st == ParseAgain {
				break
			}
			if st != ParseDone {
				fmt.Fprintf(&out, "status %d", st)
				return out.String()
			}
			var line []byte
			if !inHeader {
				inHeader = true
				h.Pos = l.Pos
				line = buf[l.Start : l.Pos-2]
				out.WriteString(parsedLine(buf, &l))
				checkURI(&out, buf, &l)
			} else {
				line = buf[h.Start : h.Pos-2]
				fmt.Fprintf(&out, "\n%q=%q %v %d", buf[h.Start:h.NameEnd], buf[h.Value:h.ValueEnd], h.Invalid, h.ID)
			}
			if bytes.ContainsAny(line, "\r\n\x00") {
				panic(fmt.Sprintf("accepted line %q", line))
			}
		}
		if n == len(in) {
			return out.String() + " again"
		}
	}
}

// checkURI notes the normalised URI and panics if the parser calls a path simple that is not.
func checkURI(out *bytes.Buffer, buf []byte, l *RequestLine) {
	u, ok := NormalizeURI(nil, buf[l.URI:l.URIEnd], l.EmptyPath, true)
	fmt.Fprintf(out, " %q %v", u.Path, ok)
	if !l.Simple() {
		return
	}
	if !ok || !bytes.Equal(u.Path, buf[l.URI:l.PathEnd()]) || (u.Exten >= 0) != (l.Exten != 0) {
		panic(fmt.Sprintf("simple %q is %q", buf[l.URI:l.PathEnd()], u.Path))
	}
}
