package regex

import (
	"regexp"
	"strings"
	"testing"

	"github.com/dlclark/regexp2"
)

// BenchmarkEngines compares this engine with regexp and regexp2.
func BenchmarkEngines(b *testing.B) {
	long := strings.Repeat("lorem ipsum dolor sit amet ", 150) + "user@example.com 2024-05-06"
	for _, bc := range []struct{ name, pattern, subject string }{
		{"short", `([a-z]+), (\d+)`, "hello, 1234 world"},
		{"uri", `^/api/v(\d+)/users/(\w+)(?:/(.*))?$`, "/api/v2/users/joe/posts/1"},
		{"ip", `^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$`, "192.168.10.201"},
		{"alternatives", `(?:union|select|insert|delete|update)\s`, "please look at this, then delete from it"},
		{"long", `(\d+)-(\d+)-(\d+)`, long},
		{"longLiteral", `example\.com`, long},
	} {
		b.Run(bc.name+"/own", func(b *testing.B) {
			re, err := Compile(bc.pattern, 0)
			if err != nil {
				b.Fatal(err)
			}
			var m Matcher
			b.ReportAllocs()
			for b.Loop() {
				if m.Exec(re, bc.subject, 0, false) != nil {
					b.Fatal("no match")
				}
			}
		})
		b.Run(bc.name+"/regexp", func(b *testing.B) {
			re := regexp.MustCompile(bc.pattern)
			b.ReportAllocs()
			for b.Loop() {
				re.FindStringSubmatchIndex(bc.subject)
			}
		})
		b.Run(bc.name+"/regexp2", func(b *testing.B) {
			re := regexp2.MustCompile(bc.pattern, regexp2.None)
			b.ReportAllocs()
			for b.Loop() {
				if m, err := re.FindStringMatch(bc.subject); err != nil || m == nil {
					b.Fatal("no match")
				}
			}
		})
	}
}
