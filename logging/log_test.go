package logging

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var testTime = time.Date(2026, 11, 23, 11, 19, 43, 7e6, time.FixedZone("", 3600))

// newTestLog returns a log with one target and a function that reads it.
func newTestLog(t testing.TB, lv Level, format Format) (*Log, func() string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "error.log")
	f, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f.SetSync()
	t.Cleanup(func() { f.Close() })
	l := New()
	l.SetClock(func() time.Time { return testTime })
	l.Add(f, lv, format)
	return l, func() string {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
}

func TestTextLines(t *testing.T) {
	id := fmt.Sprintf("%d#%d: ", os.Getpid(), os.Getpid())
	long := strings.Repeat("x", 3000)
	head := len("2026/11/23 11:19:43 [error] ") + len(id)
	for _, tt := range []struct {
		name string
		log  func(l *Log)
		want string
	}{
		{"plain", func(l *Log) { l.Log(Notice, 0, "start worker processes") },
			"2026/11/23 11:19:43 [notice] " + id + "start worker processes\n"},
		{"connection", func(l *Log) { l.Logf(Error, 42, "%d %s", 1, "message") },
			"2026/11/23 11:19:43 [error] " + id + "*42 1 message\n"},
		{"level 0 has no name", func(l *Log) { l.Log(LevelStderr, 1, "x") },
			"2026/11/23 11:19:43 [] " + id + "*1 x\n"},
		{"errno", func(l *Log) { l.LogErr(Crit, 0, syscall.EACCES, "open() \"/x\" failed") },
			"2026/11/23 11:19:43 [crit] " + id + "open() \"/x\" failed (13: Permission denied)\n"},
		{"other error", func(l *Log) { l.LogErr(Crit, 0, fmt.Errorf("odd"), "it failed") },
			"2026/11/23 11:19:43 [crit] " + id + "it failed (odd)\n"},
		{"no error", func(l *Log) { l.LogErr(Crit, 0, nil, "it failed") },
			"2026/11/23 11:19:43 [crit] " + id + "it failed\n"},
		{"attributes", func(l *Log) {
			l.Begin(Error, 3).Str("a").Bytes([]byte("b")).Int(-7).
				AttrStr("client", "127.0.0.1").Attr("server", nil).
				AttrQuoted("request", []byte("GET / HTTP/1.1")).AttrQuotedStr("host", "h").End()
		}, "2026/11/23 11:19:43 [error] " + id + `*3 ab-7, client: 127.0.0.1, server: , request: "GET / HTTP/1.1", host: "h"` + "\n"},
		{"not enabled", func(l *Log) {
			l.Log(Debug, 0, "x")
			l.Begin(Debug, 0).Str("x").Errno(1).Err(nil).Int(1).Printf("x").AttrStr("a", "b").End()
		}, ""},
		{"truncated", func(l *Log) { l.Log(Error, 0, long) },
			"2026/11/23 11:19:43 [error] " + id + long[:2047-head] + "\n"},
		{"truncated before the errno", func(l *Log) { l.LogErr(Error, 0, syscall.ENOENT, long) },
			"2026/11/23 11:19:43 [error] " + id + long[:2048-50-head] + "... (2: No such file or directory)\n"},
		{"truncated attributes", func(l *Log) { l.Begin(Error, 0).Str("m").AttrQuotedStr("request", long).End() },
			"2026/11/23 11:19:43 [error] " + id + `m, request: "` + long[:2047-head-len(`m, request: "`)] + "\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, read := newTestLog(t, Info, Text)
			tt.log(l)
			if got := read(); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestJSONLines(t *testing.T) {
	l, read := newTestLog(t, Info, JSON)
	l.Begin(Error, 9).Str("it \"failed\"\n").Errno(syscall.ENOENT).
		AttrStr("client", "::1").AttrQuotedStr("request", "GET /\x01 HTTP/1.1").End()
	l.Log(Info, 0, "second")
	l.Begin(Error, 0).Str("m").AttrStr("a", strings.Repeat("y", 3000)).AttrStr("b", "z").End()
	got := strings.Split(strings.TrimSuffix(read(), "\n"), "\n")
	if len(got) != 3 {
		t.Fatalf("%d lines: %q", len(got), got)
	}
	pid := os.Getpid()
	want := fmt.Sprintf(`{"level":"error","time":"2026-11-23T11:19:43.007+01:00","pid":%d,"connection":9,`+
		`"client":"::1","request":"GET /\u0001 HTTP/1.1","message":"it \"failed\"\n (2: No such file or directory)"}`, pid)
	if got[0] != want {
		t.Errorf("got  %s\nwant %s", got[0], want)
	}
	want = fmt.Sprintf(`{"level":"info","time":"2026-11-23T11:19:43.007+01:00","pid":%d,"message":"second"}`, pid)
	if got[1] != want {
		t.Errorf("got  %s\nwant %s", got[1], want)
	}
	if !json.Valid([]byte(got[2])) {
		t.Errorf("not JSON: %s", got[2])
	}
}

func TestTargets(t *testing.T) {
	dir := t.TempDir()
	var files Files
	l := New()
	if l.Enabled(LevelStderr) {
		t.Error("a log without targets takes messages")
	}
	for _, args := range [][]string{{"crit.log", "crit"}, {"info.log", "info"}, {"error.log"}} {
		d, err := ParseDirective(args, noServer)
		if err != nil {
			t.Fatal(err)
		}
		d.Target = filepath.Join(dir, d.Target)
		l.AddDirective(&files, d)
	}
	if err := files.OpenAll(); err != nil {
		t.Fatal(err)
	}
	defer files.CloseAll()
	for _, f := range files.All() {
		f.SetSync()
	}
	for _, lv := range []Level{Emerg, Error, Warn, Info, Debug} {
		l.Log(lv, 0, lv.String())
	}
	for name, want := range map[string]string{
		"crit.log": "emerg", "error.log": "emerg error", "info.log": "emerg error warn info",
	} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for line := range strings.Lines(string(b)) {
			fields := strings.Fields(line)
			got = append(got, fields[len(fields)-1])
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%s has %q, want %q", name, s, want)
		}
	}
	if got := l.File().Path(); got != filepath.Join(dir, "info.log") {
		t.Errorf("File() is %s", got)
	}
	if sib := l.Sibling(); sib.Enabled(Emerg) || sib.shared != l.shared {
		t.Error("a sibling has targets, or shares nothing")
	}
}

func TestClockIsFormattedOncePerSecond(t *testing.T) {
	l, read := newTestLog(t, Info, Text)
	now := testTime
	l.SetClock(func() time.Time { return now })
	for range 3 {
		l.Log(Info, 0, "x")
		now = now.Add(500 * time.Millisecond)
	}
	var got []string
	for line := range strings.Lines(read()) {
		got = append(got, line[:19])
	}
	want := "2026/11/23 11:19:43 2026/11/23 11:19:43 2026/11/23 11:19:44"
	if s := strings.Join(got, " "); s != want {
		t.Errorf("got %q", s)
	}
}

func noServer(string) (unix.Sockaddr, string) { return nil, "host not found" }

func TestParseDirective(t *testing.T) {
	for _, tt := range []struct {
		args string
		want Directive
		err  string
	}{
		{args: "logs/e.log", want: Directive{Target: "logs/e.log", Level: Error}},
		{args: "stderr notice", want: Directive{Target: "stderr", Level: Notice}},
		{args: "e debug", want: Directive{Target: "e", Level: Debug}},
		{args: "e debug_http debug_event", want: Directive{Target: "e", Level: Debug}},
		{args: "e format=json warn", want: Directive{Target: "e", Level: Warn, Format: JSON}},
		{args: "e warn format=text", want: Directive{Target: "e", Level: Warn}},
		{args: "e verbose", err: `invalid log level "verbose"`},
		{args: "e stderr", err: `invalid log level "stderr"`},
		{args: "e error debug_http", err: `invalid log level "debug_http"`},
		{args: "e error crit", err: `duplicate log level "crit"`},
		{args: "e format=xml", err: `invalid log format "xml"`},
		{args: "memory:32x debug", err: `invalid buffer size "32x"`},
		{args: "memory:1k debug", err: `invalid buffer size "1k"`},
		{args: "syslog:facility=user", err: "no syslog server specified"},
		{args: "syslog:server=x", err: `host not found in syslog server "x"`},
		{args: "syslog:server=unix:", err: `no path in the unix domain socket in syslog server "unix:"`},
		{args: "syslog:server=unix:/x,server=unix:/y", err: `duplicate syslog "server"`},
		{args: "syslog:server=unix:/x,facility=none", err: `unknown syslog facility "none"`},
		{args: "syslog:server=unix:/x,severity=err", err: `unknown syslog severity "err"`},
		{args: "syslog:server=unix:/x,tag=a-b", err: `syslog "tag" only allows alphanumeric characters and underscore`},
		{args: "syslog:server=unix:/x,tag=" + strings.Repeat("t", 33), err: "syslog tag length exceeds 32"},
		{args: "syslog:server=unix:/x,odd", err: `unknown syslog parameter "odd"`},
		{args: "syslog:server=unix:/x,tag=a,tag=b", err: `duplicate syslog "tag"`},
	} {
		got, err := ParseDirective(strings.Fields(tt.args), noServer)
		if err != nil || tt.err != "" {
			if err == nil || err.Error() != tt.err {
				t.Errorf("%s: error %v, want %s", tt.args, err, tt.err)
			}
			continue
		}
		if got != tt.want {
			t.Errorf("%s: got %+v, want %+v", tt.args, got, tt.want)
		}
	}
}

// TestConsole runs itself with a pipe for standard error.
func TestConsole(t *testing.T) {
	dir := t.TempDir()
	out := runSelf(t, "console", dir)
	want := []string{
		"nginx: [alert] could not open error log file: open() \"" + dir + "/none/e.log\" failed (2: No such file or directory)",
		"[emerg]", // the log that fell back to standard error, in the full form
		"nginx: [emerg] to both",
		"nginx: free text",
	}
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	if len(lines) != len(want) {
		t.Fatalf("%d lines: %q", len(lines), lines)
	}
	for i, w := range want {
		if i == 1 {
			if !strings.Contains(lines[i], "[emerg] ") || !strings.HasSuffix(lines[i], ": *7 full form") {
				t.Errorf("line %d is %q", i, lines[i])
			}
			continue
		}
		if lines[i] != w {
			t.Errorf("line %d is %q, want %q", i, lines[i], w)
		}
	}
	b, err := os.ReadFile(filepath.Join(dir, "e.log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []string{"to both\n", "only here\n", "to the redirected descriptor\n"} {
		if !strings.Contains(string(b), w) {
			t.Errorf("%q is not in the log: %q", w, b)
		}
	}
}

func childConsole(dir string) {
	l := Init(dir, "none/e.log")
	l.SetConsole(true)
	l.Log(Emerg, 7, "full form")

	l = Init(dir, "e.log")
	l.SetConsole(true)
	l.Log(Emerg, 7, "to both")
	l.Log(Notice, 0, "only here")
	l.SetConsole(false)
	l.Log(Emerg, 0, "only here")
	Stderr("free text")
	if err := l.RedirectStderr(); err != nil {
		panic(err)
	}
	os.Stderr.WriteString("to the redirected descriptor\n")
}

// raceEnabled is set under the race detector, which makes sync.Pool forget.
var raceEnabled bool

func TestLinesAllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	l, _ := newTestLog(t, Info, Text)
	req := []byte("GET / HTTP/1.1")
	for name, f := range map[string]func(){
		"text": func() {
			l.Begin(Error, 1).Str("connect() failed").Errno(111).AttrQuoted("request", req).End()
		},
		"log":      func() { l.Log(Error, 1, "x") },
		"disabled": func() { l.Begin(Debug, 1).Str("x").AttrQuoted("request", req).End() },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations a line", name, n)
		}
	}
	j, _ := newTestLog(t, Info, JSON)
	if n := testing.AllocsPerRun(100, func() {
		j.Begin(Error, 1).Str("x").AttrQuoted("request", req).End()
	}); n != 0 {
		t.Errorf("json: %v allocations a line", n)
	}
}

func BenchmarkLine(b *testing.B) {
	l, _ := newTestLog(b, Info, Text)
	for b.Loop() {
		l.Begin(Error, 1).Str("connect() failed").Errno(111).End()
	}
}
