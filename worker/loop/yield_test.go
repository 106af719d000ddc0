package loop

import (
	"slices"
	"testing"
)

// TestNextAndYield checks in which order tasks get the baton.
func TestNextAndYield(t *testing.T) {
	l, err := New()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	say := func(s string) { got = append(got, s) }
	spawn := func(f func()) {
		var w Waiter
		l.Next(func() {
			l.Wake(&w, nil)
			f()
		})
		if err := l.Park(&w, 0); err != nil {
			t.Error(err)
		}
	}
	task := func(name string) func() {
		return func() {
			var w Waiter
			for _, step := range []string{" 1", " 2", " 3"} {
				say(name + step)
				if err := l.Yield(&w); err != nil {
					t.Error(err)
				}
			}
		}
	}
	l.Go(func() {
		spawn(task("a"))
		say("after a")
		spawn(task("b"))
		say("after b")
		l.Next(func() { say("next 1") })
		l.Next(func() { say("next 2") })
		var w Waiter
		// More turns than the loop gives at once.
		for range 10 * maxDeferred {
			if err := l.Yield(&w); err != nil {
				t.Error(err)
			}
		}
		l.Stop()
	})
	if err := l.Run(); err != nil {
		t.Fatal(err)
	}
	want := []string{"a 1", "after a", "b 1", "a 2", "after b", "next 2", "b 2", "a 3", "b 3"}
	got = slices.DeleteFunc(got, func(s string) bool { return s == "next 1" })
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
