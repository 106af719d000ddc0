package logging

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// captureStderr runs f with a pipe as standard error and returns what came.
func captureStderr(t *testing.T, f func()) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	saved, err := unix.FcntlInt(2, unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Dup3(int(w.Fd()), 2, 0); err != nil {
		t.Fatal(err)
	}
	w.Close()
	f()
	if err := unix.Dup3(saved, 2, 0); err != nil {
		t.Fatal(err)
	}
	unix.Close(saved)
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestJournal(t *testing.T) {
	write := func(stream func(st *syscall.Stat_t) string) string {
		return captureStderr(t, func() {
			var st syscall.Stat_t
			if err := syscall.Fstat(2, &st); err != nil {
				t.Error(err)
			}
			t.Setenv("JOURNAL_STREAM", stream(&st))
			var files Files
			l := New()
			l.AddDirective(&files, Directive{Target: "stderr", Level: Debug})
			for _, lv := range []Level{Emerg, Alert, Crit, Error, Warn, Notice, Info, Debug} {
				l.Log(lv, 0, "x")
			}
			console := New()
			console.SetConsole(true)
			console.level = Warn
			console.Log(Error, 0, "y")
		})
	}
	plain := write(func(*syscall.Stat_t) string { return "1:2" })
	if strings.Contains(plain, "<") {
		t.Errorf("another stream than the journal got priorities:\n%s", plain)
	}
	out := write(func(st *syscall.Stat_t) string { return fmt.Sprintf("%d:%d", st.Dev, st.Ino) })
	want := regexp.MustCompile(`^<1>[^<]* \[emerg\] [^<]*x
<1>[^<]* \[alert\] [^<]*x
<2>[^<]* \[crit\] [^<]*x
<3>[^<]* \[error\] [^<]*x
<4>[^<]* \[warn\] [^<]*x
<5>[^<]* \[notice\] [^<]*x
<6>[^<]* \[info\] [^<]*x
<7>[^<]* \[debug\] [^<]*x
<3>nginx: \[error\] y
$`)
	if !want.MatchString(out) {
		t.Errorf("got:\n%s", out)
	}
}
