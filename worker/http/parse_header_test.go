package http

import (
	"fmt"
	"strings"
	"testing"
)

// parseHeaders parses lines up to the empty one, all at once or byte by byte.
func parseHeaders(in string, underscores, bytewise bool) string {
	var h HeaderLine
	var got []string
	n := len(in)
	if bytewise {
		n = 0
	}
	for {
		buf := []byte(in[:n])
		switch st := h.Parse(buf, underscores); st {
		case ParseAgain:
			if n == len(in) {
				return strings.Join(append(got, "again"), " ")
			}
			n++
		case ParseDone:
			s := fmt.Sprintf("%s=[%s]", buf[h.Start:h.NameEnd], buf[h.Value:h.ValueEnd])
			if h.Invalid {
				s += "!"
			}
			if h.ID != HeaderOther {
				s += "#" + knownHeaders[h.ID].name
			}
			got = append(got, s)
		case ParseHeaderDone:
			return strings.Join(append(got, "done"), " ")
		default:
			return strings.Join(append(got, fmt.Sprintf("400@%d", h.BadByte)), " ")
		}
	}
}

func TestHeaderLine(t *testing.T) {
	for _, c := range []struct {
		in, want    string
		underscores bool
	}{
		{"\r\n", "done", false},
		{"Host: a\r\n\r\n", "Host=[a]#host done", false},
		{"hOST:a\r\nX:\r\nY:   b c  \r\n\r\n", "hOST=[a]#host X=[] Y=[b c] done", false},
		{"X-Tab:\ta\t\r\n\r\n", "X-Tab=[\ta\t] done", false},
		{"a_b: 1\r\n\r\n", "a_b=[1]! done", false},
		{"a_b: 1\r\n\r\n", "a_b=[1] done", true},
		{"_: 1\r\n\r\n", "_=[1]! done", false},
		{"a(b: 1\r\n\r\n", "a(b=[1]! done", true},
		{"Foo\r\n\r\n", "Foo=[] done", false},
		{"transfer-encoding: chunked\r\n\r\n", "transfer-encoding=[chunked]#transfer-encoding done", false},
		{"A: b\n\r\n", "400@4", false},
		{"A: b\r\r\n", "400@4", false},
		{"A: b\rc\r\n", "400@4", false},
		{"A\n: b\r\n", "400@1", false},
		{"A : b\r\n", "400@1", false},
		{"A\t: b\r\n", "400@1", false},
		{" A: b\r\n", "400@0", false},
		{"A: b\r\n c\r\n", "A=[b] 400@6", false},
		{"A: b\r\n\tc\r\n", "A=[b] 400@6", false},
		{": b\r\n", "400@0", false},
		{"A: b\x00c\r\n", "400@4", false},
		{"A\x00: b\r\n", "400@1", false},
		{"A:\x00\r\n", "400@2", false},
		{"\n", "400@0", false},
		{"\rx", "400@0", false},
		{"A\x7f: b\r\n", "400@1", false},
		{"A: b\r", "again", false},
	} {
		for _, bytewise := range []bool{false, true} {
			if got := parseHeaders(c.in, c.underscores, bytewise); got != c.want {
				t.Errorf("%q (byte by byte: %v): %s, want %s", c.in, bytewise, got, c.want)
			}
		}
	}
}

func TestKnownHeaders(t *testing.T) {
	for id := HeaderOther + 1; id < headerIDs; id++ {
		name := knownHeaders[id].name
		if got := HeaderIDOf([]byte(strings.ToUpper(name))); got != id {
			t.Errorf("%s: id %d, want %d", name, got, id)
		}
		if got := HeaderIDOf([]byte(name + "x")); got != HeaderOther {
			t.Errorf("%sx: id %d", name, got)
		}
	}
}

func TestParseHost(t *testing.T) {
	for _, c := range []struct {
		in, name string
		port     int
		upper    bool
		ok       bool
	}{
		{"a", "a", 0, false, true},
		{"Example.COM:8080", "Example.COM", 8080, true, true},
		{"a.", "a", 0, false, true},
		{"a.:80", "a", 80, false, true},
		{"a:", "a", 0, false, true},
		{"[::1]", "[::1]", 0, false, true},
		{"[::1]:65535", "[::1]", 65535, false, true},
		{"a_b~!$&'()*+,;=%41", "a_b~!$&'()*+,;=%41", 0, false, true},
		{"", "", 0, false, false},
		{".", "", 0, false, false},
		{":80", "", 0, false, false},
		{"a..b", "", 0, false, false},
		{"a:65536", "", 0, false, false},
		{"a:8x", "", 0, false, false},
		{"a:80:80", "", 0, false, false},
		{"a/b", "", 0, false, false},
		{"a b", "", 0, false, false},
		{"a\x00", "", 0, false, false},
		{"a@b", "", 0, false, false},
		{"[::1", "", 0, false, false},
		{"[", "", 0, false, false},
		{"[::1]x", "", 0, false, false},
		{"[::%1]", "", 0, false, false},
		{"a[", "", 0, false, false},
		{"\xc3\xa4", "", 0, false, false},
	} {
		name, port, upper, ok := ParseHost([]byte(c.in))
		if string(name) != c.name || port != c.port || upper != c.upper && ok || ok != c.ok {
			t.Errorf("%q: %q %d %v %v", c.in, name, port, upper, ok)
		}
	}
}

func TestParseContentLength(t *testing.T) {
	for in, want := range map[string]int64{
		"0": 0, "5": 5, "007": 7, "9223372036854775807": 1<<63 - 1,
		"9223372036854775808": -1, "": -1, "-1": -1, "+1": -1, "1 ": -1, "1,1": -1, "0x1": -1, "99999999999999999999": -1,
	} {
		n, ok := ParseContentLength([]byte(in))
		if !ok {
			n = -1
		}
		if n != want {
			t.Errorf("%q: %d, want %d", in, n, want)
		}
	}
}

func TestParseUserAgent(t *testing.T) {
	for in, want := range map[string]Browser{
		"curl/8":                        0,
		"Mozilla (MSIE 6.0; )":          BrowserMSIE | BrowserMSIE6,
		"Mozilla (MSIE 6.0; SV1)":       BrowserMSIE,
		"Mozilla (MSIE 10.0; x)":        BrowserMSIE,
		"Mozilla (MSIE 6.0; ) Opera 7":  0,
		"X (KHTML) Chrome/120 Safari/5": BrowserChrome,
		"Mac OS X Safari/5":             BrowserSafari,
		"Safari/5":                      0,
		"Gecko/2010 Chrome/1":           0,
	} {
		if got := ParseUserAgent([]byte(in)); got != want {
			t.Errorf("%q: %d, want %d", in, got, want)
		}
	}
}
