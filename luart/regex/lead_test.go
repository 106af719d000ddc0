package regex

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// TestLead compares matches that are looked for at the byte behind a leading run with those that are looked for everywhere.
func TestLead(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, pattern := range []string{`(\w+)@(\w+)`, `\w*@\w`, `[ab]{2,}@b`, `(?<n>a+)@(?=b)`, `((a+))@@`, `a++@b?$`, `(\w+)@\b`, `[^@]+@a`, `.*\na`, `(a+)(@b)+(?<=b)`} {
		re, err := Compile(pattern, 0)
		if err != nil {
			t.Fatal(err)
		}
		if re.lead == nil {
			t.Errorf("%s is not looked for at the byte behind its run", pattern)
		}
		plain := *re
		plain.lead = nil
		for range 3000 {
			var b strings.Builder
			for range rnd.IntN(24) {
				b.WriteByte("aab@@ \n"[rnd.IntN(7)])
			}
			s := b.String()
			start := rnd.IntN(len(s) + 1)
			var m, n Matcher
			got, want := m.Exec(re, s, start, false), n.Exec(&plain, s, start, false)
			if got != want || got == nil && !slices.Equal(m.Caps, n.Caps) {
				t.Fatalf("%s on %q from %d: %v %v, not %v %v", pattern, s, start, got, m.Caps, want, n.Caps)
			}
		}
	}
	for _, pattern := range []string{`(a+)@\1`, `a+b`, `(?:a+)+@`, `[a@]+@`, `^a+@`, `a+?@`, `(*COMMIT)a+@`} {
		if re, err := Compile(pattern, 0); err != nil || pattern != `a+b` && re.lead != nil {
			t.Errorf("%s: %v", pattern, err)
		}
	}
}
