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
	f.SetSync()
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

// otherwise reports whether what is said of a directive differs on purpose, or in words only.
func otherwise(name string, context int, args, want string) bool {
	switch {
	case strings.Contains(want, "unknown directive"): // younger than this nginx, or of a module it has not
		return true
	case strings.Contains(want, "open()"), strings.Contains(want, "mkdir()"), name == "load_module", name == "pid": // a start finds out
		return true
	case strings.HasPrefix(name, "set_") && context == 0, strings.HasPrefix(name, "echo_") && context < 2: // not where it has no meaning
		return true
	case strings.HasPrefix(name, "more_") && args == "-1", strings.Contains(want, "pcre2_compile()"), strings.Contains(want, "could not build optimal"):
		return true
	case name == "error_log", name == "set_misc_base32_padding", name == "resolver", name == "thread_pool", name == "valid_referers", name == "proxy_limit_rate":
		return true
	}
	return false
}

// TestDirectivesAsNginx has directives with arguments of all kinds wherever they may stand or not, and compares what both
// say of the configuration: of those in PERILUNE_DIRECTIVES ("all" is every one), or of a sample.
func TestDirectivesAsNginx(t *testing.T) {
	if !askPeers() {
		t.Skip("for make test-peers")
	}
	modules := loadModules(t, "ndk_http_module", "ngx_http_echo_module", "ngx_http_headers_more_filter_module", "ngx_http_set_misc_module", "ngx_http_memc_module", "ngx_http_srcache_filter_module")
	var names []string
	for _, m := range append(conf.Modules(), Modules()...) {
		for _, c := range m.Commands {
			names = append(names, c.Name)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	step := 1
	switch only := os.Getenv("PERILUNE_DIRECTIVES"); only {
	case "":
		step = 29
	case "all":
	default:
		names = strings.Fields(only)
	}
	dir := t.TempDir()
	all, asked := 0, 0
	for _, name := range names {
		for i, context := range directiveContexts {
			for j, args := range directiveArgs {
				if i != 2 && j != 1 && j != 2 && j != 4 && j != 8 && j < 26 {
					continue
				}
				lines := []string{directiveLine(name, args)}
				if i == 2 {
					lines = append(lines, lines[0]+"\n"+lines[0])
				}
				for _, line := range lines {
					if all++; all%step != 0 {
						continue
					}
					text := fmt.Sprintf(context, line)
					asked++
					want := theirMessages(t, dir, text, modules)
					if otherwise(name, i, args, want) {
						continue
					}
					if got := ourMessages(t, dir, text); got != want {
						t.Errorf("%s:\n%s\nnginx:\n%s", strings.ReplaceAll(text, "\n", " "), got, want)
					}
				}
			}
		}
	}
	t.Logf("%d of %d configurations", asked, all)
}

// directiveLine is a directive with its arguments, which may end with a block.
func directiveLine(name, args string) string {
	if strings.HasSuffix(args, "}") {
		return name + " " + args
	}
	return name + " " + args + ";"
}
