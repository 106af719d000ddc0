package http

import (
	"strings"
	"testing"
)

const browserRequest = "GET /path/to/page.html?arg=value HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; " +
	"rv:120.0) Gecko/20100101 Firefox/120.0\r\nAccept: text/html,application/xhtml+xml\r\nAccept-Language: en-US,en;q=0.5\r\n" +
	"Accept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\nCookie: session=0123456789abcdef\r\n\r\n"

func parseAll(in []byte) ParseStatus {
	var l RequestLine
	st := l.Parse(in)
	h := HeaderLine{Pos: l.Pos}
	for st == ParseDone {
		st = h.Parse(in, false)
	}
	return st
}

func TestParsersAllocateNothing(t *testing.T) {
	in := []byte(browserRequest)
	if n := testing.AllocsPerRun(100, func() {
		if parseAll(in) != ParseHeaderDone {
			t.Fatal("not parsed")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkParseRequest(b *testing.B) {
	in := []byte(browserRequest)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		parseAll(in)
	}
}

func BenchmarkParseSmallRequest(b *testing.B) {
	in := []byte("GET / HTTP/1.1\r\nHost: localhost:8080\r\n\r\n")
	b.ReportAllocs()
	for b.Loop() {
		parseAll(in)
	}
}

func BenchmarkNormalizeURI(b *testing.B) {
	raw, dst := []byte("/a%20b/./c/../"+strings.Repeat("d", 40)+".html?x=y"), make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		NormalizeURI(dst, raw, false, true)
	}
}

func BenchmarkLogLine(b *testing.B) {
	r := sampleRequest(b)
	v, cf := tableOf(r)
	f, err := compileFormat(cf, "f", []string{combinedFormat})
	if err != nil {
		b.Fatal(err)
	}
	if err := v.resolve(); err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		buf = f.appendLine(r, buf[:0])
	}
}
