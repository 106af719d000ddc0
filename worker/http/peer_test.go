package http

import (
	"crypto/sha256"
	goflag "flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// What nginx answers is kept in testdata/nginx. With PERILUNE_PEERS set (make test-peers) the tests ask the nginx of the
// machine instead, and with -update they write down what it says.
var update = goflag.Bool("update", false, "write what nginx answers into testdata")

func askPeers() bool { return *update || os.Getenv("PERILUNE_PEERS") != "" }

// differential compares what we answer and log with what nginx does.
type differential struct {
	site     string // directory that SITE stands for
	http     string // of the http block; LISTEN stands for a port, LOGS for a directory of log files
	level    string // of the error log
	modules  []string
	requests []string
	shown    func(t *testing.T, answer string) string // of an answer, as it is compared
	line     func(line string) string                 // of the error log, likewise
	logs     []string                                 // other files in LOGS
	checked  bool                                     // the lengths of our answers agree with their Content-Length
	brief    bool                                     // what is kept are digests: there are too many requests
}

// record is what a server has answered, and logged.
type record struct {
	answers []string // request and answer in turns
	logs    []string // names of files, with a colon, and their lines
}

// sameAnswers asks nginx and a server of ours, both with the same http block, and compares whole answers and the error
// logs. In the block LISTEN stands for a port and SITE for a directory of files. The modules are nginx's.
func sameAnswers(t *testing.T, http string, requests []string, modules ...string) {
	t.Helper()
	sameAnswersOf(t, makeSite(t), http, requests, modules...)
}

// sameAnswersOf is sameAnswers for a directory of files of its own.
func sameAnswersOf(t *testing.T, site, http string, requests []string, modules ...string) {
	t.Helper()
	if err := os.WriteFile(site+"/users", []byte(basicUsers), 0o644); err != nil {
		t.Fatal(err)
	}
	sameTimes(t, site)
	(&differential{
		site: site, http: http, level: "notice", modules: modules, requests: requests, checked: true,
		shown: func(_ *testing.T, answer string) string { return plainChunks(answer) },
		line: func(line string) string {
			return strings.ReplaceAll(plainError(line), "epoll_wait() reported that ", "")
		},
	}).run(t)
}

// run asks both servers.
func (d *differential) run(t *testing.T) {
	t.Helper()
	d.http = strings.ReplaceAll(d.http, "SITE", d.site)
	want := d.theirs(t)
	logs := t.TempDir()
	full := d.ask(t, startServer(t, t.TempDir(), d.config(logs)), logs, d.checked)
	got := full
	if d.brief && !askPeers() {
		got = full.brief()
	}
	for i := 1; i < len(got.answers); i += 2 {
		if a, b := got.answers[i], want.answers[i]; a != b {
			t.Errorf("%s:\n%q\nnginx:\n%q", full.answers[i-1], cutText(full.answers[i]), cutText(b))
		}
	}
	if !slices.Equal(got.logs, want.logs) {
		t.Errorf("logs, ours marked by +:\n%s", lineDiff(want.logs, got.logs))
	}
	if t.Failed() {
		text, _ := os.ReadFile(logs + "/errors")
		t.Logf("our error log:\n%s", text)
	}
}

func (d *differential) config(logs string) string {
	return "error_log " + logs + "/errors " + d.level + ";\n" + strings.ReplaceAll(d.http, "LOGS", logs)
}

// theirs is what nginx answers: as it was written down, or now.
func (d *differential) theirs(t *testing.T) *record {
	t.Helper()
	file := goldenFile(t)
	if !askPeers() {
		rec := readRecord(t, file)
		if n := len(d.requests); len(rec.answers)%(2*n) != 0 {
			t.Fatalf("%s is of other requests: go test -update writes it", file)
		}
		for i := 0; i < len(rec.answers); i += 2 {
			want := shortened(strconv.Quote(d.requests[i/2%len(d.requests)]))
			if d.brief {
				want = digest(want)
			}
			if rec.answers[i] != want {
				t.Fatalf("%s is of other requests (%s, not %s): go test -update writes it", file, rec.answers[i], want)
			}
		}
		return rec
	}
	logs := t.TempDir()
	addrs := startNginxWith(t, loadModules(t, d.modules...), d.config(logs))
	rec := d.ask(t, addrs, logs, false)
	if kept := rec; *update {
		if d.brief {
			kept = rec.brief()
		}
		writeRecord(t, file, kept)
	}
	return rec
}

// ask asks a server, all of its ports in turn.
func (d *differential) ask(t *testing.T, addrs []string, logs string, checked bool) *record {
	t.Helper()
	rec := &record{}
	for _, addr := range addrs {
		for _, r := range d.requests {
			answer := ask(t, addr, wire(r))
			if checked {
				checkLength(t, r, answer)
			}
			rec.answers = append(rec.answers, shortened(strconv.Quote(r)), shortened(d.masked(d.shown(t, answer))))
		}
	}
	for _, name := range append([]string{"errors"}, d.logs...) {
		text, err := os.ReadFile(filepath.Join(logs, name))
		if err != nil {
			t.Fatal(err)
		}
		rec.logs = append(rec.logs, name+":")
		for line := range strings.Lines(strings.ReplaceAll(string(text), logs, "LOGS")) {
			// Asking whether the server is up leaves lines, too.
			if line = strings.TrimSuffix(line, "\n"); !strings.Contains(line, "while waiting for request") {
				rec.logs = append(rec.logs, shortened(d.masked(d.lineOf(name, line))))
			}
		}
	}
	return rec
}

func (d *differential) lineOf(name, line string) string {
	if name == "errors" {
		return d.line(line)
	}
	return plainLine(line)
}

var (
	excess    = regexp.MustCompile(`excess: (\d+\.\d+)`)
	tempPaths = regexp.MustCompile(`/[^ "]*/0\d{9}\b`)
	expires   = regexp.MustCompile(`Expires: ([^\r]*)`)
	tempDirs  = regexp.MustCompile(`/tmp/Test\w+/\d+`)
)

// masked takes out what differs from run to run.
func (d *differential) masked(s string) string {
	s = strings.ReplaceAll(s, d.site, "SITE")
	s = tempDirs.ReplaceAllString(tempPaths.ReplaceAllString(s, "TEMP"), "DIR")
	s = excess.ReplaceAllStringFunc(s, func(m string) string {
		x, _ := strconv.ParseFloat(m[len("excess: "):], 64)
		return fmt.Sprintf("excess: %.0f", x)
	})
	return expires.ReplaceAllStringFunc(s, func(m string) string {
		when, err := time.Parse(time.RFC1123, m[len("Expires: "):])
		if in := time.Until(when).Round(time.Minute); err == nil && in > -48*time.Hour && in < 400*24*time.Hour {
			return fmt.Sprintf("Expires: in %v", in)
		}
		return m
	})
}

// shortened is a text, or the beginning of a long one and its digest.
func shortened(s string) string {
	const most = 900
	if len(s) <= most {
		return s
	}
	return fmt.Sprintf("%s… %d bytes, %x", s[:most/2], len(s), sha256.Sum256([]byte(s)))
}

// digest is a text's status, if it is an answer, and its digest.
func digest(s string) string {
	status := ""
	if strings.HasPrefix(s, "HTTP/1.") {
		status = s[9:min(13, len(s))]
	}
	sum := sha256.Sum256([]byte(s))
	return fmt.Sprintf("%s%x", status, sum[:6])
}

func (rec *record) brief() *record {
	b := &record{}
	for _, s := range rec.answers {
		b.answers = append(b.answers, digest(s))
	}
	for _, s := range rec.logs {
		b.logs = append(b.logs, digest(s))
	}
	return b
}

// lineDiff shows where two lists of lines differ.
func lineDiff(want, got []string) string {
	var b strings.Builder
	n := 0
	say := func(mark string, line string) {
		if n++; n <= 40 {
			fmt.Fprintf(&b, "%s%s\n", mark, cutText(line))
		}
	}
	for len(want) > 0 || len(got) > 0 {
		switch {
		case len(want) > 0 && len(got) > 0 && want[0] == got[0]:
			want, got = want[1:], got[1:]
		case len(want) > 0 && (len(got) == 0 || !slices.Contains(got[:min(len(got), 5)], want[0])):
			say("- ", want[0])
			want = want[1:]
		default:
			say("+ ", got[0])
			got = got[1:]
		}
	}
	return b.String()
}

var goldenUses = make(map[string]int) // of the files, by tests that have several

// goldenFile is where nginx's answers to a test are kept.
func goldenFile(t *testing.T) string {
	name := strings.ReplaceAll(t.Name(), "/", "-")
	goldenUses[name]++
	n := goldenUses[name]
	t.Cleanup(func() { delete(goldenUses, name) })
	if n > 1 {
		name += "-" + strconv.Itoa(n)
	}
	return filepath.Join("testdata/nginx", name+".txt")
}

func writeRecord(t *testing.T, file string, rec *record) {
	t.Helper()
	var b strings.Builder
	for i := 0; i < len(rec.answers); i += 2 {
		fmt.Fprintf(&b, "> %s\n< %s\n", rec.answers[i], strconv.Quote(rec.answers[i+1]))
	}
	for _, line := range rec.logs {
		fmt.Fprintf(&b, "| %s\n", strconv.Quote(line))
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

func readRecord(t *testing.T, file string) *record {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v: go test -update writes it", err)
	}
	rec := &record{}
	for line := range strings.Lines(string(text)) {
		mark, value := line[:2], strings.TrimSuffix(line[2:], "\n")
		if mark == "> " {
			rec.answers = append(rec.answers, value)
			continue
		}
		if value, err = strconv.Unquote(value); err != nil {
			t.Fatalf("%s: %q: %v", file, line, err)
		}
		if mark == "< " {
			rec.answers = append(rec.answers, value)
		} else {
			rec.logs = append(rec.logs, value)
		}
	}
	return rec
}

// fixedDir makes a directory whose name has the same length whenever the tests run.
func fixedDir(t testing.TB) string {
	t.Helper()
	for {
		outer := fmt.Sprintf("/tmp/site%010d", rand.Uint32())
		err := os.Mkdir(outer, 0o755)
		if os.IsExist(err) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(outer) })
		if err := os.Mkdir(outer+"/in", 0o755); err != nil {
			t.Fatal(err)
		}
		return outer + "/in"
	}
}
