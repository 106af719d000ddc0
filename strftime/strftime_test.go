package strftime

import (
	"testing"
	"time"
)

func TestAppend(t *testing.T) {
	d := time.Date(2026, 1, 4, 15, 4, 5, 0, time.FixedZone("CEST", 7200))
	for format, want := range map[string]string{
		"":                        "",
		"%Y-%m-%d %H:%M:%S":       "2026-01-04 15:04:05",
		"%a %A %b %B %h":          "Sun Sunday Jan January Jan",
		"%c|%D|%F|%r|%R|%T|%x|%X": "Sun Jan  4 15:04:05 2026|01/04/26|2026-01-04|03:04:05 PM|15:04|15:04:05|01/04/26|15:04:05",
		"%U %V %W %G %g %u %w %j": "01 01 00 2026 26 7 0 004",
		"%z %Z %s":                "+0200 CEST 1767531845",
		"%-d %_d %^a %#p %5y%%%q": "4  4 SUN pm 00026%%q",
		"%":                       "%",
		"%E":                      "%E",
		"%Ey%Od":                  "2604",
	} {
		if got := string(Append(nil, format, d)); got != want {
			t.Errorf("%q: %q, want %q", format, got, want)
		}
	}
	if got := string(Append(nil, "%Z", d.UTC())); got != "GMT" {
		t.Errorf("%%Z of UTC: %q", got)
	}
}
