package http

import "testing"

// TestDESCrypt has passwords whose hashes are those of crypt(3).
func TestDESCrypt(t *testing.T) {
	for _, c := range []struct{ password, entry string }{
		{"secret", "abNANd1rDfiNc"}, {"", "xx95eIq3U1EUg"}, {"longer than eight", "z.totcwXlMIbY"}, {"longer t", "z.totcwXlMIbY"}, {"s\xe4", "/9XccoiXXOGc."},
	} {
		if !desMatches(c.entry, c.password) {
			got, _ := desCrypt(c.password, c.entry)
			t.Errorf("%q: %s, want %s", c.password, got, c.entry)
		}
		if desMatches(c.entry, c.password+"x") && len(c.password) < 8 {
			t.Errorf("%q and more matches %s", c.password, c.entry)
		}
	}
	for _, entry := range []string{"", "a", "!!NANd1rDfiNc", "ab", "abNANd1rDfiNcX"} {
		if desMatches(entry, "secret") {
			t.Errorf("%q matches", entry)
		}
	}
}
