package http

import (
	"fmt"
	"math"
	"testing"
)

func TestParseRanges(t *testing.T) {
	for _, c := range []struct {
		in    string
		limit int
		want  string
	}{
		{"0-0", math.MaxInt32, "[{0 1}] 0"},
		{"0-", math.MaxInt32, "[{0 1000}] 0"},
		{"5-9", math.MaxInt32, "[{5 10}] 0"},
		{" 5 - 9 ", math.MaxInt32, "[{5 10}] 0"},
		{"-5", math.MaxInt32, "[{995 1000}] 0"},
		{"-5000", math.MaxInt32, "[{0 1000}] 0"},
		{"990-5000", math.MaxInt32, "[{990 1000}] 0"},
		{"0-1,5-6", math.MaxInt32, "[{0 2} {5 7}] 0"},
		{"0-1,5-6", 1, "[] 200"},
		{"0-900,100-999", math.MaxInt32, "[] 200"},
		{"1000-", math.MaxInt32, "[] 416"},
		{"2000-3000", math.MaxInt32, "[] 416"},
		{"1000-,0-1", math.MaxInt32, "[{0 2}] 0"},
		{"-0", math.MaxInt32, "[] 416"},
		{"9-5", math.MaxInt32, "[] 416"},
		{"x", math.MaxInt32, "[] 416"},
		{"", math.MaxInt32, "[] 416"},
		{"-", math.MaxInt32, "[] 416"},
		{"1-x", math.MaxInt32, "[] 416"},
		{"1-2,", math.MaxInt32, "[] 416"},
		{"1-2 3", math.MaxInt32, "[] 416"},
		{"99999999999999999999-", math.MaxInt32, "[] 416"},
	} {
		list, status := parseRanges([]byte(c.in), 1000, c.limit)
		if got := fmt.Sprint(list, " ", status); got != c.want {
			t.Errorf("%q: %s, want %s", c.in, got, c.want)
		}
	}
}

func TestMatchETag(t *testing.T) {
	for _, c := range []struct {
		list, tag string
		weak      bool
		want      bool
	}{
		{`*`, ``, true, true},
		{`"a"`, ``, true, false},
		{`"a"`, `"a"`, false, true},
		{`"b", "a"`, `"a"`, false, true},
		{`"b","c"`, `"a"`, false, false},
		{`"aa"`, `"a"`, false, false},
		{`W/"a"`, `"a"`, true, true},
		{`W/"a"`, `"a"`, false, false},
		{`"a"`, `W/"a"`, true, true},
		{`"x,y" , "a" `, `"a"`, true, true},
		{``, `"a"`, true, false},
	} {
		if got := matchETag([]byte(c.list), c.tag, c.weak); got != c.want {
			t.Errorf("%s in %s (weak %v): %v", c.tag, c.list, c.weak, got)
		}
	}
}

func TestHTTPDate(t *testing.T) {
	const want = 784111777
	for _, s := range []string{"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"} {
		if got := parseHTTPDate([]byte(s)); got != want {
			t.Errorf("%s: %d", s, got)
		}
	}
	if got := string(appendHTTPDate(nil, want)); got != "Sun, 06 Nov 1994 08:49:37 GMT" {
		t.Error(got)
	}
	if got := parseHTTPDate([]byte("yesterday")); got != -1 {
		t.Error(got)
	}
}
