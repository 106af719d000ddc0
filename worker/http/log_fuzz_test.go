package http

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzLogFormat checks that a log_format of any text is refused or makes lines, and that with default and JSON escaping a value of
// any bytes neither ends the line nor gets out of its quotes, and can be read back.
func FuzzLogFormat(f *testing.F) {
	f.Add("$http_x", "a\"b\\c\n\r\t\x00\x7f\xff")
	f.Add("${uri}$", "x")
	f.Add("$remote_addr [$time_local] \"$request\" ${http_x}tail $http_none", "é\u2028")
	f.Add("escape=json", "")
	r := sampleRequest(f)
	headers := r.HeadersIn
	f.Fuzz(func(t *testing.T, format, value string) {
		r.HeadersIn = headers
		v, cf := tableOf(r)
		r.HeadersIn.Add(HeaderIDOf([]byte("X")), []byte("X"), []byte(value))
		if fm, err := compileFormat(cf, "fuzz", []string{format}); err == nil && v.resolve() == nil {
			if line := fm.appendLine(r, nil); line[len(line)-1] != '\n' {
				t.Errorf("%q: %q", format, line)
			}
		}
		v, cf = tableOf(r)
		plain, err := compileFormat(cf, "plain", []string{"$http_x"})
		if err != nil {
			t.Fatal(err)
		}
		asJSON, err := compileFormat(cf, "json", []string{"escape=json", `"$http_x"`})
		if err != nil {
			t.Fatal(err)
		}
		if err := v.resolve(); err != nil {
			t.Fatal(err)
		}
		line := string(plain.appendLine(r, nil))
		body := strings.TrimSuffix(line, "\n")
		if strings.ContainsFunc(body, func(c rune) bool { return c < 0x20 || c >= 0x7f || c == '"' }) {
			t.Errorf("%q is logged as %q", value, line)
		}
		if back, err := strconv.Unquote(`"` + body + `"`); err != nil || back != value {
			t.Errorf("%q is logged as %q, which is %q, %v", value, line, back, err)
		}
		got := asJSON.appendLine(r, nil)
		var back string
		if err := json.Unmarshal(got, &back); err != nil && utf8.ValidString(value) {
			t.Errorf("%q is logged as %s: %v", value, got, err)
		} else if utf8.ValidString(value) && back != value {
			t.Errorf("%q is logged as %s, which is %q", value, got, back)
		}
	})
}
