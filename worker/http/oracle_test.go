package http

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"perilune/internal/freeport"
)

// startNginx starts the nginx of the machine with the given servers, in which LISTEN stands for a port, and answers
// with the ports' addresses. Tests that compare with it are skipped where there is none.
func startNginx(t *testing.T, servers string) []string { return startNginxWith(t, "", servers) }

// oracleModules are the modules of nginx that some tests compare with.
const oracleModules = "/usr/lib/nginx/modules/"

// loadModules is the text that loads them; without them the test is skipped.
func loadModules(t *testing.T, names ...string) string {
	t.Helper()
	text := ""
	for _, name := range names {
		file := oracleModules + name + ".so"
		if _, err := os.Stat(file); err != nil {
			t.Skip("no " + file + " to compare with")
		}
		text += "load_module " + file + ";\n"
	}
	return text
}

// startNginxWith is startNginx with directives before all others.
func startNginxWith(t *testing.T, head, servers string) []string {
	t.Helper()
	bin, err := exec.LookPath("nginx")
	if err != nil {
		t.Skip("no nginx to compare with")
	}
	dir := t.TempDir()
	var addrs []string
	for strings.Contains(servers, "LISTEN") {
		addr := freeport.Addr(t)
		addrs = append(addrs, addr)
		servers = strings.Replace(servers, "LISTEN", "listen "+addr, 1)
	}
	text := head + fmt.Sprintf("daemon off; master_process off; pid %[1]s/pid; error_log %[1]s/error.log info;\n"+
		"events {}\nhttp { access_log off; client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p;\n"+
		"fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;\n%[2]s }\n",
		dir, strings.ReplaceAll(servers, "DIR", dir))
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, "-p", dir, "-c", file, "-e", dir+"/error.log")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for _, a := range addrs {
		deadline := time.Now().Add(patience)
		for {
			c, err := net.Dial("tcp", a)
			if err == nil {
				_ = c.Close()
				break
			}
			if time.Now().After(deadline) {
				text, _ := io.ReadAll(stderr)
				t.Fatalf("nginx does not come up: %v: %s", err, text)
			}
			time.Sleep(5 * time.Millisecond) // another program: there is no event to wait for
		}
	}
	return addrs
}

// ask sends raw bytes and returns all that comes back until the connection is closed.
func ask(t *testing.T, addr, request string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(c)
	if err != nil {
		t.Logf("reading the answer to %q: %v", request, err)
	}
	return string(answer)
}

// answerOf cuts an answer into its status and body.
func answerOf(t *testing.T, answer string) (status, body string) {
	t.Helper()
	line, _, _ := bufioLine(answer)
	_, body, _ = strings.Cut(answer, "\r\n\r\n")
	if len(line) < 12 {
		return "none", ""
	}
	return line[9:12], body
}

func bufioLine(s string) (line, rest string, ok bool) {
	line, err := bufio.NewReader(strings.NewReader(s)).ReadString('\n')
	return strings.TrimRight(line, "\r\n"), s[len(line):], err == nil
}

// TestURIAsNginx compares $uri and $args with nginx's.
func TestURIAsNginx(t *testing.T) {
	addrs := startNginx(t, `
		server { LISTEN; return 200 "$uri|$args"; }
		server { LISTEN; merge_slashes off; return 200 "$uri|$args"; }`)
	for _, c := range uriCases {
		for i, want := range []string{c.merged, c.unmerged} {
			status, body := answerOf(t, ask(t, addrs[i], "GET "+c.in+" HTTP/1.0\r\n\r\n"))
			if status == "400" {
				body = "400|"
			}
			if body != want+"|"+c.args {
				t.Errorf("%q: nginx has %s %q, the table %q", c.in, status, body, want+"|"+c.args)
			}
		}
	}
}
