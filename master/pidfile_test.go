package master

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestPidFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "nginx.pid")
	if err := writePid(path); err != nil {
		t.Fatal(err)
	}
	b, _ := os.ReadFile(path)
	if string(b) != strconv.Itoa(os.Getpid())+"\n" {
		t.Errorf("%q", b)
	}
	if st, _ := os.Stat(path); st.Mode().Perm() != 0o644 {
		t.Errorf("mode %v", st.Mode())
	}
	if n, err := readPid(path); n != os.Getpid() || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if list, _ := os.ReadDir(dir); len(list) != 1 {
		t.Errorf("%d files are left", len(list))
	}
	if err := deletePid(path); err != nil {
		t.Error(err)
	}
	if err := deletePid(path); err == nil || err.Error() != `unlink() "`+path+`" failed (2: No such file or directory)` {
		t.Error(err)
	}
}

func TestPidFileBehindALink(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
	if err := os.WriteFile(target, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	if err := writePid(link); err != nil {
		t.Fatal(err)
	}
	if st, _ := os.Lstat(link); st.Mode()&os.ModeSymlink == 0 {
		t.Error("the link was replaced by a file")
	}
	if n, err := readPid(target); n != os.Getpid() {
		t.Errorf("%d, %v", n, err)
	}
}

func TestPidFileThatIsADevice(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "null")
	if err := os.Symlink(os.DevNull, link); err != nil {
		t.Fatal(err)
	}
	if err := writePid(link); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(os.DevNull); err != nil || st.Mode().IsRegular() {
		t.Fatal("the device was replaced")
	}
	if err := deletePid(link); err != nil {
		t.Error(err)
	}
}

func TestTestPid(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nginx.pid")
	if err := testPid(path); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); err == nil {
		t.Error("an empty pid file is left behind")
	}
	if err := testPid("/nonexistent/nginx.pid"); err == nil || err.Error() != `open() "/nonexistent/nginx.pid" failed (2: No such file or directory)` {
		t.Error(err)
	}
}

func TestReadPid(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nginx.pid")
	for text, want := range map[string]string{
		"12\n": "", "12": "", "12\r\n": "", "": `invalid PID number "" in "`, "1x\n": `invalid PID number "1x" in "`,
		"-1": `invalid PID number "-1"`, "+1": `invalid PID number "+1"`, strings.Repeat("9", 30): "invalid PID number",
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		n, err := readPid(path)
		if want == "" && (err != nil || n != 12) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %d, %v", text, n, err)
		}
	}
	if _, err := readPid("/nonexistent"); err == nil || err.Error() != `open() "/nonexistent" failed (2: No such file or directory)` {
		t.Error(err)
	}
}
