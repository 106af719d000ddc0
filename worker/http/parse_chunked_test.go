package http

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// decodeChunked decodes input that comes step bytes at a time; it also gives what stands behind the body.
func decodeChunked(in []byte, step int) (body []byte, rest string, state string) {
	var d ChunkedDecoder
	for len(in) > 0 && !d.Done() {
		piece := in[:min(step, len(in))]
		for !d.Done() {
			before := d.Left()
			data, used, err := d.Next(piece)
			if err != nil {
				return body, "", "error"
			}
			if before <= 0 {
				return body, "", "nothing left before the end"
			}
			if used == 0 {
				break
			}
			body = append(body, data...)
			piece, in = piece[used:], in[used:]
		}
	}
	if d.Done() {
		return body, string(in), "done"
	}
	return body, "", fmt.Sprintf("again %d", d.Left())
}

func TestChunkedDecoder(t *testing.T) {
	for _, c := range []struct{ in, body, rest, state string }{
		{"0\r\n\r\n", "", "", "done"},
		{"5\r\nhello\r\n0\r\n\r\nGET", "hello", "GET", "done"},
		{"00005;a=b\r\nhello\r\n1 ; x\r\n!\r\n000;q\r\nT: v\r\nU: w\r\n\r\n", "hello!", "", "done"},
		{"A\r\n0123456789\r\na\t\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789", "", "done"},
		{"5\r\nhel", "hel", "", "again 9"},
		{"5\r\n", "", "", "again 12"},
		{"", "", "", "again 5"},
		{"0\r\n", "", "", "again 2"},
		{"5\nhello\r\n", "", "", "error"},
		{"5\r\nhello\n", "hello", "", "error"},
		{"5\r\nhello!", "hello", "", "error"},
		{"\r\n", "", "", "error"},
		{"g\r\n", "", "", "error"},
		{" 5\r\n", "", "", "error"},
		{"-5\r\n", "", "", "error"},
		{"+5\r\n", "", "", "error"},
		{"0x5\r\n", "", "", "error"},
		{"5;a\nb\r\n", "", "", "error"},
		{"5;a\rb\r\n", "", "", "error"},
		{"5\r\rhello", "", "", "error"},
		{"0\r\n\n", "", "", "error"},
		{"0\r\nT: v\n\r\n", "", "", "error"},
		{"0\r\nT: v\r\r\n", "", "", "error"},
		{"0\r\n\rx", "", "", "error"},
		{"ffffffffffffffff\r\n", "", "", "error"},
		{"8000000000000000\r\n", "", "", "error"},
		{"7fffffffffffffff\r\n", "", "", "error"},
		{"7ffffffffffffff\r\n", "", "", fmt.Sprint("again ", int64(0x7ffffffffffffff+7))},
		{"0000000000000000000000001\r\na\r\n0\r\n\r\n", "a", "", "done"},
		{strings.Repeat("0", 5000), "", "", "error"},
		{"1;" + strings.Repeat("x", 5000), "", "", "error"},
		{"0\r\n" + strings.Repeat("T: v\r\n", 10000), "", "", "error"},
	} {
		for _, step := range []int{1, 2, 3, 1 << 20} {
			body, rest, state := decodeChunked([]byte(c.in), step)
			if string(body) != c.body || rest != c.rest || state != c.state {
				t.Errorf("%.40q by %d: %q, %q, %s; want %q, %q, %s", c.in, step, body, rest, state, c.body, c.rest, c.state)
			}
		}
	}
}

// encodeChunked makes chunks of up to size bytes.
func encodeChunked(data []byte, size int) (out []byte) {
	for len(data) > 0 {
		n := min(size, len(data))
		out = AppendChunkSize(out, n)
		out = append(append(out, data[:n]...), "\r\n"...)
		data = data[n:]
	}
	return AppendLastChunk(out)
}

func TestAppendChunkSize(t *testing.T) {
	for n, want := range map[int]string{1: "1\r\n", 15: "f\r\n", 16: "10\r\n", 4096: "1000\r\n", 1<<63 - 1: "7fffffffffffffff\r\n"} {
		if got := string(AppendChunkSize(nil, n)); got != want {
			t.Errorf("%d: %q", n, got)
		}
	}
}

// FuzzChunked checks that what is encoded is decoded again, and that any input is decoded alike however it is cut.
func FuzzChunked(f *testing.F) {
	f.Add([]byte("5\r\nhello\r\n0\r\n\r\n"), uint8(3), uint8(2))
	f.Add([]byte("5;x\r\nhello\r\n0\r\nA: b\r\n\r\nrest"), uint8(1), uint8(40))
	f.Fuzz(func(t *testing.T, in []byte, size, step uint8) {
		encoded := encodeChunked(in, int(size)+1)
		body, rest, state := decodeChunked(encoded, int(step)+1)
		if !bytes.Equal(body, in) || rest != "" || state != "done" {
			t.Fatalf("encoded %q is decoded to %q, %q, %s", in, body, rest, state)
		}
		body, rest, state = decodeChunked(in, len(in)+1)
		b, r, s := decodeChunked(in, int(step)%5+1)
		if !bytes.Equal(b, body) || r != rest || s != state {
			t.Fatalf("%q by %d: %q, %q, %s; whole: %q, %q, %s", in, step%5+1, b, r, s, body, rest, state)
		}
	})
}
