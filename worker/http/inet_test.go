package http

import "testing"

func TestParseAddr(t *testing.T) {
	for text, want := range map[string]string{
		"1.2.3.4": "1.2.3.4", "001.02.3.0000004": "1.2.3.4", "1..2.": "1.0.2.0", "...": "0.0.0.0", "255.255.255.255": "255.255.255.255", "::1": "::1", "2001:DB8::1": "2001:db8::1", "::ffff:1.2.3.4": "::ffff:1.2.3.4",
		"": "", "1": "", "1.2.3": "", "1.2.3.4.5": "", "1.2.3.256": "", "1.2.3.x": "", "-1.2.3.4": "", " 1.2.3.4": "", "1.2.3.4 ": "", "fe80::1%eth0": "", "1:2": "", "[::1]": "",
	} {
		a, ok := parseAddr(text)
		if got := ""; ok {
			got = a.String()
			if got != want {
				t.Errorf("%q: %s, want %q", text, got, want)
			}
		} else if want != "" {
			t.Errorf("%q: no address, want %s", text, want)
		}
	}
}
