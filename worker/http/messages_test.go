package http

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"perilune/conf"
	"perilune/logging"
)

// ourMessages is what perilune says of a configuration.
func ourMessages(t testing.TB, dir, text string) string {
	t.Helper()
	writeConf(t, dir, text)
	logFile := filepath.Join(dir, "our.log")
	_ = os.Remove(logFile)
	f, err := logging.OpenFile(logFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	log := logging.New()
	log.Add(f, logging.Warn, logging.Text)
	_, err = conf.Load(conf.Options{Prefix: dir, ConfFile: "nginx.conf", TestOnly: true, Log: log, Modules: append(conf.Modules(), Modules()...)})
	var said []string
	b, readErr := os.ReadFile(logFile)
	if readErr != nil {
		t.Fatal(readErr)
	}
	for line := range strings.SplitSeq(string(b), "\n") {
		if i := strings.IndexByte(line, '['); i >= 0 {
			level, text, _ := strings.Cut(line[i:], " ")
			_, text, _ = strings.Cut(text, " ") // the process
			said = append(said, level+" "+text)
		}
	}
	if err != nil {
		said = append(said, "["+conf.LevelOf(err).String()+"] "+err.Error())
	}
	return strings.ReplaceAll(strings.Join(said, "\n"), dir, "DIR")
}

// theirMessages is what nginx says of it.
func theirMessages(t testing.TB, dir, text string, modules string) string {
	t.Helper()
	writeConf(t, dir, text)
	out, err := exec.Command("nginx", "-t", "-p", dir, "-c", "nginx.conf", "-e", dir+"/error.log", "-g", "pid "+dir+"/nginx.pid; "+modules).CombinedOutput()
	if err != nil && len(out) == 0 {
		t.Fatalf("nginx: %v", err)
	}
	var said []string
	for text := range strings.SplitSeq("\n"+strings.TrimSuffix(string(out), "\n"), "\nnginx: ") {
		if strings.HasPrefix(text, "[") && !strings.HasPrefix(text, "[alert]") {
			said = append(said, text)
		}
	}
	return strings.ReplaceAll(strings.Join(said, "\n"), dir, "DIR")
}

func writeConf(t testing.TB, dir, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// directiveContexts are where a directive, which stands for %s, may stand.
var directiveContexts = []string{
	"events {}\nhttp {\n%s\n}", "events {}\nhttp { server {\n%s\n} }", "events {}\nhttp { server { location / {\n%s\n} } }",
	"events {}\nhttp { server { if ($uri) {\n%s\n} } }", "events {}\nhttp { server { location / { if ($uri) {\n%s\n} } } }",
	"events {}\nhttp { server { location / { limit_except GET {\n%s\n} } } }", "events {}\nhttp { upstream u { server 127.0.0.1;\n%s\n} }", "%s\nevents {}\n",
}

// directiveArgs are what follows its name; a second time it is there twice.
var directiveArgs = []string{"", "x", "on", "off", "1", "0", "1k", "-1", "1 2", "8 4k", "x y", "$uri", "$nix", "/tmp/x", "127.0.0.1:80", "http://127.0.0.1", "x y z", "GET", "$a b", "~( x", "a=b", "zone=a:1m", "404 /x", "500", "10s", "1 1s 1m", "{ }", "x { }", "x y { }", "$x $y { }"}

// TestDirectivesAsNginx has each directive with arguments of all kinds wherever it may stand or not, and compares what
// both say of the configuration.
func TestDirectivesAsNginx(t *testing.T) {
	if !askPeers() {
		t.Skip("for make test-peers")
	}
	modules := loadModules(t, "ndk_http_module", "ngx_http_echo_module", "ngx_http_headers_more_filter_module", "ngx_http_set_misc_module", "ngx_http_memc_module")
	dir := t.TempDir()
	var names []string
	for _, m := range append(conf.Modules(), Modules()...) {
		for _, c := range m.Commands {
			names = append(names, c.Name)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if only := os.Getenv("PERILUNE_DIRECTIVES"); only != "" {
		names = strings.Fields(only)
	}
	n, bad := 0, 0
	for _, name := range names {
		for i, context := range directiveContexts {
			for j, args := range directiveArgs {
				if i != 2 && j != 1 && j != 2 && j != 4 && j != 8 && j < 26 {
					continue
				}
				end := ";"
				if strings.HasSuffix(args, "}") {
					end = ""
				}
				for _, line := range []string{name + " " + args + end, strings.Repeat(name+" "+args+end+"\n", 2)} {
					if i != 2 && line[len(line)-1] == '\n' {
						continue
					}
					text := fmt.Sprintf(context, line)
					n++
					want := theirMessages(t, dir, text, modules)
					if strings.Contains(want, "unknown directive") || strings.Contains(want, "open()") || name == "load_module" {
						continue // younger than this nginx, or of a module it has not; or of a file, which only a start opens
					}
					if got := ourMessages(t, dir, text); got != want {
						if bad++; bad < 3000 {
							t.Errorf("%s:\n%s\nnginx:\n%s", strings.ReplaceAll(text, "\n", " "), got, want)
						}
					}
				}
			}
		}
	}
	t.Logf("%d configurations, %d differ", n, bad)
}
