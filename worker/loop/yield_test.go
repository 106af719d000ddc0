package loop

import (
	"errors"
	"fmt"
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

// TestParkTurn has two take turns, beside a task that keeps the loop busy; one is woken early and one at the end.
func TestParkTurn(t *testing.T) {
	l, err := New()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	errEarly := errors.New("early")
	sleeper := func(name string, n int) func() {
		return func() {
			var w Waiter
			for i := range n {
				from := l.Stats().Turns
				if err := l.ParkTurn(&w); err != nil {
					t.Error(err)
				}
				if turns := l.Stats().Turns - from; turns != 1 {
					t.Errorf("%s slept for %d turns", name, turns)
				}
				got = append(got, fmt.Sprint(name, i))
			}
			if name == "b" {
				l.Stop()
			}
		}
	}
	l.Go(sleeper("a", 3))
	l.Go(func() {
		var w Waiter
		l.Next(func() { l.Wake(&w, errEarly) })
		turn := l.Stats().Turns
		if err := l.ParkTurn(&w); err != errEarly || l.Stats().Turns != turn {
			t.Errorf("woken early: %v after %d turns", err, l.Stats().Turns-turn)
		}
	})
	l.Go(sleeper("b", 4))
	l.Go(func() {
		var w Waiter
		for !l.stopped {
			_ = l.Yield(&w)
		}
		if err := l.ParkTurn(&w); err != ErrStopped {
			t.Error(err)
		}
	})
	l.NextTurn(func() { got = append(got, "task") }) // before those that wait for the turn
	if err := l.Run(); err != nil {
		t.Fatal(err)
	}
	want := []string{"task", "a0", "b0", "a1", "b1", "a2", "b2", "b3"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if s := l.Stats(); s.Parked != 0 {
		t.Errorf("%+v", s)
	}
}
