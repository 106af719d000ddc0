package conf

import (
	"math"
	"testing"
	"time"
)

func TestParseSize(t *testing.T) {
	tests := []struct {
		in           string
		size, offset int64 // -1: invalid
	}{
		{"0", 0, 0}, {"1", 1, 1}, {"007", 7, 7}, {"1k", 1024, 1024}, {"2K", 2048, 2048},
		{"1m", 1 << 20, 1 << 20}, {"3M", 3 << 20, 3 << 20}, {"1g", -1, 1 << 30}, {"2G", -1, 2 << 30},
		{"", -1, -1}, {"k", -1, -1}, {"1t", -1, -1}, {"-1", -1, -1}, {"+1", -1, -1}, {"1.5m", -1, -1}, {"1 k", -1, -1}, {"1kk", -1, -1},
		{"9223372036854775807", math.MaxInt64, math.MaxInt64}, {"9223372036854775808", -1, -1},
		{"9007199254740991k", math.MaxInt64 >> 10 << 10, math.MaxInt64 >> 10 << 10}, {"9007199254740992k", -1, -1},
		{"8589934591g", -1, math.MaxInt64 >> 30 << 30}, {"8589934592g", -1, -1},
	}
	for _, test := range tests {
		check := func(name string, got int64, err error, want int64) {
			if (err != nil) != (want < 0) || err == nil && got != want {
				t.Errorf("%s(%q) = %d, %v; want %d", name, test.in, got, err, want)
			}
		}
		size, err := ParseSize(test.in)
		check("ParseSize", size, err, test.size)
		offset, err := ParseOffset(test.in)
		check("ParseOffset", offset, err, test.offset)
	}
}

func TestParseTime(t *testing.T) {
	const day = 24 * time.Hour
	tests := []struct {
		in        string
		msec, sec time.Duration // -1: invalid
	}{
		{"0", 0, 0}, {"30", 30 * time.Second, 30 * time.Second}, {"30s", 30 * time.Second, 30 * time.Second},
		{"5m", 5 * time.Minute, 5 * time.Minute}, {"2h", 2 * time.Hour, 2 * time.Hour}, {"1d", day, day}, {"1w", 7 * day, 7 * day},
		{"1M", -1, 30 * day}, {"1y", -1, 365 * day}, {"1y2M3w4d5h6m7s", -1, (365+60+21+4)*day + 5*time.Hour + 6*time.Minute + 7*time.Second},
		{"100ms", 100 * time.Millisecond, -1}, {"1s500ms", 1500 * time.Millisecond, -1}, {"1m5ms", time.Minute + 5*time.Millisecond, -1},
		{"1h30m", 90 * time.Minute, 90 * time.Minute}, {"1h 30m", 90 * time.Minute, 90 * time.Minute},
		{"1h  30", time.Hour + 30*time.Second, time.Hour + 30*time.Second}, {"30 ", 30 * time.Second, 30 * time.Second},
		{"", -1, -1}, {" ", -1, -1}, {" 1", time.Second, time.Second}, {"x", -1, -1}, {"1x", -1, -1}, {"-1", -1, -1}, {"1.5s", -1, -1},
		{"1m1h", -1, -1}, {"1s1s", -1, -1}, {"1ms1s", -1, -1}, {"s", -1, -1},
		{"9223372036854775807", -1, math.MaxInt64}, {"9223372036854775808", -1, -1}, {"9223372036854775807ms", math.MaxInt64, -1},
		{"99999999999999h", -1, math.MaxInt64}, {"9999999999999999h", -1, -1},
	}
	for _, test := range tests {
		for _, sec := range []bool{false, true} {
			want := test.msec
			if sec {
				want = test.sec
			}
			got, err := ParseTime(test.in, sec)
			if (err != nil) != (want < 0) || err == nil && got != want {
				t.Errorf("ParseTime(%q, %v) = %v, %v; want %v", test.in, sec, got, err, want)
			}
		}
	}
}

func TestArgsAccept(t *testing.T) {
	tests := []struct {
		args Args
		good []int // numbers of arguments out of 0 to 9
	}{
		{NoArgs, []int{0}}, {Take1, []int{1}}, {Take12, []int{1, 2}}, {Take13, []int{1, 3}}, {Take1234, []int{1, 2, 3, 4}},
		{Take7, []int{7}}, {NoArgs | Take2, []int{0, 2}}, {Flag, []int{1}}, {AnyArgs, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}},
		{OneMore, []int{1, 2, 3, 4, 5, 6, 7, 8, 9}}, {TwoMore | Block, []int{2, 3, 4, 5, 6, 7, 8, 9}}, {NoArgs | Block, []int{0}},
	}
	for _, test := range tests {
		good := test.good
		for n := range 10 {
			want := len(good) > 0 && good[0] == n
			if want {
				good = good[1:]
			}
			if test.args.accept(n+1) != want {
				t.Errorf("%b: %d arguments: %v", test.args, n, !want)
			}
		}
	}
}
