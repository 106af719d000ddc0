package ipc

import (
	"bytes"
	"os"
	"os/exec"
	"testing"
)

// TestTitle runs itself in a child, because a title cannot be taken back.
func TestTitle(t *testing.T) {
	if os.Getenv("TITLE_CHILD") == "1" {
		InitTitle()
		if os.Getenv("TITLE_OTHER") != "value=with=signs" || len(os.Args) < 2 || os.Args[1] != "-test.run=TestTitle$" {
			t.Fatalf("arguments or environment are lost: %q %q", os.Args, os.Environ())
		}
		SetTitle("perilune: a title that is longer than the arguments of this process were at its start, or so")
		if os.Getenv("TITLE_OTHER") != "value=with=signs" || os.Args[1] != "-test.run=TestTitle$" {
			t.Fatalf("arguments or environment are lost: %q %q", os.Args, os.Environ())
		}
		check(t, "perilune: a title that is longer than the arguments of this process were at its start, or so")
		SetTitle("perilune: short")
		check(t, "perilune: short")
		return
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=TestTitle$", "")
	cmd.Env = append(os.Environ(), "TITLE_CHILD=1", "TITLE_OTHER=value=with=signs", "EMPTY=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func check(t *testing.T, want string) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	if got := string(bytes.TrimRight(b, "\x00")); got != want {
		t.Errorf("cmdline is %q, want %q", got, want)
	}
}
