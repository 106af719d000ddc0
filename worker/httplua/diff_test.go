package httplua_test

import (
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"perilune/internal/freeport"
)

// The files of testdata are compared with what perilune answers, and with what
// nginx and ngx_lua answer where they are installed. A file is a row of sections:
//
//	-- main --      directives of the main block (optional)
//	-- http --      directives of the http block (optional)
//	-- server --    directives of the server block (optional)
//	-- file NAME -- a file beneath the prefix
//	-- request --   lines of a request; CR is added to those of the header
//	-- aborted request -- one whose client goes when the response begins
//	-- response --  what comes back to it, \r written out
//	-- grep --      a regular expression: the error log is written at level debug,
//	                and only what the expression matches in it is compared
//	-- log --       what all requests have left in the error log
//	-- nginx log -- likewise of nginx, where the two differ on purpose
//
// All requests but those with a "Connection:" line get "Connection: close".
var update = flag.Bool("update", false, "write what nginx answers into testdata")

type section struct{ name, text string }

type diffCase struct {
	sections []section
}

func readCase(t *testing.T, path string) *diffCase {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	c := &diffCase{}
	head := regexp.MustCompile(`^-- (.+) --$`)
	for _, line := range strings.SplitAfter(string(data), "\n") {
		if m := head.FindStringSubmatch(strings.TrimSuffix(line, "\n")); m != nil {
			c.sections = append(c.sections, section{name: m[1]})
			continue
		}
		if len(c.sections) == 0 {
			c.sections = append(c.sections, section{name: "comment"})
		}
		c.sections[len(c.sections)-1].text += line
	}
	return c
}

func (c *diffCase) get(name string) string {
	for _, s := range c.sections {
		if s.name == name {
			return s.text
		}
	}
	return ""
}

func (c *diffCase) has(name string) bool {
	for _, s := range c.sections {
		if s.name == name {
			return true
		}
	}
	return false
}

// write puts what nginx has said into the file.
func (c *diffCase) write(t *testing.T, path string, responses []string, log string) {
	t.Helper()
	var out []section
	n := 0
	for _, s := range c.sections {
		if s.name == "response" || s.name == "log" || s.name == "nginx log" {
			continue
		}
		out = append(out, s)
		if s.name == "request" {
			out = append(out, section{"response", responses[n]})
			n++
		}
	}
	if c.has("nginx log") {
		out = append(out, section{"log", c.get("log")}, section{"nginx log", log})
	} else {
		out = append(out, section{"log", log})
	}
	var b strings.Builder
	for _, s := range out {
		if s.name != "comment" {
			fmt.Fprintf(&b, "-- %s --\n", s.name)
		}
		b.WriteString(s.text)
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// shortDir is a directory whose name is short wherever others are: messages have the last 60 bytes of a path.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "lua")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// prefix makes the directory that a server runs in; http is for its http block.
func (c *diffCase) prefix(t testing.TB, head, http, listen string) string {
	t.Helper()
	dir := shortDir(t)
	for _, d := range []string{"conf", "logs", "html", "lua", "body"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	level := "info"
	if c.has("grep") {
		level = "debug"
	}
	text := head + c.get("main") + "error_log logs/error.log " + level + "; pid logs/nginx.pid; worker_processes 1;\nevents { worker_connections 4096; }\n" +
		"http { access_log off; default_type text/plain; client_body_temp_path body; " + http + "\n" + c.get("http") +
		"server { listen " + listen + ";\n" + c.get("server") + "} }\n"
	files := map[string]string{"conf/nginx.conf": text}
	for _, s := range c.sections {
		if name, ok := strings.CutPrefix(s.name, "file "); ok {
			files[name] = s.text
		}
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		// For Last-Modified and ETag.
		then := time.Unix(1_700_000_000, 0)
		if err := os.Chtimes(filepath.Join(dir, name), then, then); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// ask sends the requests one after the other and returns the responses.
func (c *diffCase) ask(t *testing.T, addr string) []string {
	t.Helper()
	var responses []string
	for _, s := range c.sections {
		if s.name != "request" && s.name != "aborted request" {
			continue
		}
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(patience))
		if _, err := io.WriteString(conn, rawRequest(s.text)); err != nil {
			t.Fatal(err)
		}
		if s.name == "aborted request" {
			_, _ = conn.Read(make([]byte, 1))
			_ = conn.Close()
			continue
		}
		raw, err := io.ReadAll(conn)
		_ = conn.Close()
		if err != nil {
			raw = append(raw, "\n(read error)\n"...)
		}
		responses = append(responses, normalize(string(raw), addr, ""))
	}
	return responses
}

func rawRequest(text string) string {
	header, body, _ := strings.Cut(text, "\n\n")
	header = strings.TrimSuffix(header, "\n")
	if !strings.Contains(header, "Connection:") && strings.Contains(header, " HTTP/1.1") {
		header += "\nConnection: close"
	}
	body = strings.TrimSuffix(body, "\n")
	if strings.Contains(header, "chunked") {
		body = strings.ReplaceAll(body, "\n", "\r\n")
	}
	return strings.ReplaceAll(header, "\n", "\r\n") + "\r\n\r\n" + body
}

var normalizers = []struct {
	re *regexp.Regexp
	to string
}{
	{regexp.MustCompile(`(?m)^Server: (nginx|perilune)[^\r\n]*`), "Server: SERVER"},
	{regexp.MustCompile(`<center>(nginx|perilune)/[^<]*</center>`), "<center>SERVER</center>"},
	{regexp.MustCompile(`\b([uc]):[0-9A-F]{16}\b`), "$1:POINTER"},
	{regexp.MustCompile(`(?m)^Date: [A-Z][a-z][a-z], [^\r\n]*`), "Date: DATE"},
}

var (
	pageSignature = regexp.MustCompile(`<center>((?:nginx|perilune)/[^<]*)</center>`)
	lengthHeader  = regexp.MustCompile(`(?m)^(Content-Length: )(\d+)`)
)

// normalize takes the name of the program out, and its length out of the length
// of pages that show it.
func normalize(s, addr, dir string) string {
	if m := pageSignature.FindStringSubmatch(s); m != nil {
		s = lengthHeader.ReplaceAllStringFunc(s, func(h string) string {
			n, _ := strconv.Atoi(h[len("Content-Length: "):])
			return "Content-Length: " + strconv.Itoa(n-len(m[1])+len("SERVER"))
		})
	}
	for _, n := range normalizers {
		s = n.re.ReplaceAllString(s, n.to)
	}
	if dir != "" {
		s = strings.ReplaceAll(s, dir, "PREFIX")
	}
	s = strings.ReplaceAll(s, addr, "ADDR")
	s = strings.ReplaceAll(s, "\r\n", "\\r\n")
	if s != "" && !strings.HasSuffix(s, "\n") {
		s += "\\\n"
	}
	return s
}

var (
	logHead  = regexp.MustCompile(`(?m)^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d (\[[a-z]+\]) \d+#\d+: (\*\d+ )?`)
	logNoise = regexp.MustCompile(`(?m)^\[(notice|info)\] (?:a client request body is buffered|epoll_wait\(\) failed|using the|nginx/|perilune/|OS: |getrlimit|built by|start|exiting|exit|signal|gracefully|writev\(\) failed|worker process|client \S+ closed|kevent|Unix|client closed|cache manager)[^\n]*\n`)
)

// readLog returns the error log without what differs from run to run.
func readLog(t testing.TB, dir, addr string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "logs/error.log"))
	if err != nil {
		t.Fatal(err)
	}
	s := logHead.ReplaceAllString(string(data), "$1 ")
	s = logNoise.ReplaceAllString(s, "")
	return normalize(s, addr, dir)
}

// log returns the error log as far as the case looks at it.
func (c *diffCase) log(t testing.TB, dir, addr string) string {
	t.Helper()
	if !c.has("grep") {
		return readLog(t, dir, addr)
	}
	data, err := os.ReadFile(filepath.Join(dir, "logs/error.log"))
	if err != nil {
		t.Fatal(err)
	}
	wanted := regexp.MustCompile(`(?m)` + strings.TrimSpace(c.get("grep")))
	return normalize(strings.Join(wanted.FindAllString(string(data), -1), "\n"), addr, dir)
}

func caseFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases: ", err)
	}
	return files
}

func (c *diffCase) check(t *testing.T, responses []string, log, logSection string) {
	t.Helper()
	var want []string
	var names []string
	for _, s := range c.sections {
		switch s.name {
		case "request":
			line, _, _ := strings.Cut(s.text, "\n")
			names = append(names, line)
		case "response":
			want = append(want, s.text)
		}
	}
	for i, got := range responses {
		if i >= len(want) || got != want[i] {
			t.Errorf("%s:\n--- got ---\n%s--- want ---\n%s", names[i], got, append(want, "")[min(i, len(want))])
		}
	}
	if wantLog := c.get(logSection); log != wantLog {
		t.Errorf("error log:\n--- got ---\n%s--- want ---\n%s", log, wantLog)
	}
}

const oracleModules = "/usr/lib/nginx/modules"

// TestNginx runs the cases against nginx with ngx_lua, which they were made of: make test-peers.
func TestNginx(t *testing.T) {
	if !*update && os.Getenv("PERILUNE_PEERS") == "" {
		t.Skip("for make test-peers")
	}
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		t.Skip("no nginx")
	}
	if _, err := os.Stat(oracleModules + "/ngx_http_lua_module.so"); err != nil {
		t.Skip("no ngx_lua")
	}
	for _, path := range caseFiles(t) {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			c := readCase(t, path)
			addr := freeport.Addr(t)
			dir := c.prefix(t, "load_module "+oracleModules+"/ndk_http_module.so; load_module "+oracleModules+"/ngx_http_set_misc_module.so; load_module "+oracleModules+
				"/ngx_http_lua_module.so; daemon off; master_process off; ", "", addr)
			cmd := exec.Command(nginx, "-p", dir+"/", "-c", "conf/nginx.conf", "-e", "logs/error.log")
			cmd.Stderr = os.Stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			stopped := false
			stop := func() {
				if !stopped {
					stopped = true
					_ = cmd.Process.Signal(os.Interrupt)
					_ = cmd.Wait()
				}
			}
			defer stop()
			waitFor(t, addr)
			responses := c.ask(t, addr)
			stop()
			log := c.log(t, dir, addr)
			if *update {
				c.write(t, path, responses, log)
				return
			}
			section := "log"
			if c.has("nginx log") {
				section = "nginx log"
			}
			c.check(t, responses, log, section)
		})
	}
}

// waitFor waits until the server takes connections; the connection that finds out
// leaves nothing in the log but noise.
func waitFor(t *testing.T, addr string) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", addr); err == nil {
			_ = c.Close()
			return
		}
	}
	t.Fatal("the server does not come up")
}
