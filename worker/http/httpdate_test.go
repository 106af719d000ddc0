package http

import (
	"testing"
	"time"
)

// TestHTTPDates compares dates, good and bad ones, with what package time makes of them.
func TestHTTPDates(t *testing.T) {
	for _, seconds := range []int64{0, 1, 784111777, 951782400, 1709164799, 1709251199, -1, -62167219200, 253402300799, 253402300800, -62167219201} {
		want := string(time.Unix(seconds, 0).UTC().AppendFormat(nil, httpDate))
		if got := string(appendHTTPDate(nil, seconds)); got != want {
			t.Errorf("%d: %q, want %q", seconds, got, want)
		}
	}
	for step := int64(0); step < 40*366; step++ {
		seconds := step * 86401
		text := appendHTTPDate(nil, seconds)
		if want := time.Unix(seconds, 0).UTC().Format(httpDate); string(text) != want {
			t.Fatalf("%d: %q, want %q", seconds, text, want)
		}
		if got, ok := parseUsualDate(text); !ok || got != seconds {
			t.Fatalf("%q: %d, %v", text, got, ok)
		}
	}
	for _, text := range []string{
		"Sun, 06 Nov 1994 08:49:37 GMT", "sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 nov 1994 08:49:37 GMT", "Xyz, 06 Nov 1994 08:49:37 GMT",
		"unM, 06 Nov 1994 08:49:37 GMT", "Sun, 06 anF 1994 08:49:37 GMT", "Sun, 30 Feb 2024 08:49:37 GMT", "Sun, 29 Feb 2024 08:49:37 GMT",
		"Sun, 29 Feb 2023 08:49:37 GMT", "Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT", "Sun, 06 Nov 1994 08:60:37 GMT",
		"Sun, 06 Nov 1994 08:49:60 GMT", "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 0000 08:49:37 GMT",
		"Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "Sun, 06 Nov 19x4 08:49:37 GMT", "Sun; 06 Nov 1994 08:49:37 GMT", "", "0",
	} {
		want := int64(-1)
		for _, format := range dateFormats {
			if d, err := time.Parse(format, text); err == nil {
				want = d.Unix()
				break
			}
		}
		if got := parseHTTPDate([]byte(text)); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}

func BenchmarkHTTPDate(b *testing.B) {
	b.ReportAllocs()
	var buf [32]byte
	for b.Loop() {
		if parseHTTPDate(appendHTTPDate(buf[:0], 784111777)) < 0 {
			b.Fatal("not a date")
		}
	}
}
