package conf

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"perilune/logging"
)

var update = flag.Bool("update", false, "rewrite the wanted messages of testdata with those of the installed nginx")

// nginxModules are the files of Debian's ngx_lua, for the oracle.
const nginxModules = "/usr/lib/nginx/modules/"

// section is one part of a case file: "-- name --" and the lines below it.
type section struct {
	name, text string
}

func readCase(t testing.TB, path string) []section {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var list []section
	for line := range strings.SplitAfterSeq(string(b), "\n") {
		if name, ok := strings.CutPrefix(line, "-- "); ok && strings.HasSuffix(name, " --\n") {
			list = append(list, section{name: strings.TrimSuffix(name, " --\n")})
			continue
		}
		if len(list) == 0 {
			if line != "" {
				t.Fatalf("%s: text before the first section", path)
			}
			continue
		}
		list[len(list)-1].text += line
	}
	return list
}

// writeCase puts the case's files into a new directory. The name of the
// directory replaces DIR in them; "globals" is the -g option, "want" is what
// nginx says. A last newline of nginx.conf is dropped if the case has a section
// "noeol".
func writeCase(t testing.TB, list []section) (dir, globals, want string) {
	t.Helper()
	dir = t.TempDir()
	noeol := false
	for _, s := range list {
		noeol = noeol || s.name == "noeol"
	}
	for _, s := range list {
		text := strings.ReplaceAll(s.text, "DIR", dir)
		switch s.name {
		case "globals":
			globals = strings.TrimSuffix(text, "\n")
			continue
		case "want":
			want = strings.TrimSuffix(s.text, "\n")
			continue
		case "noeol":
			continue
		case "nginx.conf":
			if noeol {
				text = strings.TrimSuffix(text, "\n")
			}
		}
		path := filepath.Join(dir, s.name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir, globals, want
}

// logTo is a log of warnings into a file.
func logTo(t testing.TB, path string) *logging.Log {
	t.Helper()
	f, err := logging.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f.SetSync()
	t.Cleanup(func() { _ = f.Close() })
	log := logging.New()
	log.Add(f, logging.Warn, logging.Text)
	return log
}

// load gives what perilune says of a configuration: its warnings and its error.
func load(t testing.TB, dir, globals string) string {
	t.Helper()
	logFile := filepath.Join(t.TempDir(), "log")
	_, err := Load(Options{
		Prefix: dir, ConfFile: "nginx.conf", Globals: globals, Modules: testModules(), Log: logTo(t, logFile),
	})
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
		said = append(said, "["+LevelOf(err).String()+"] "+err.Error())
	}
	return strings.ReplaceAll(strings.Join(said, "\n"), dir, "DIR")
}

// ask gives what the installed nginx says of a configuration.
func ask(t testing.TB, dir, globals string) string {
	t.Helper()
	globals = "pid " + dir + "/nginx.pid; load_module " + nginxModules + "ndk_http_module.so; load_module " +
		nginxModules + "ngx_http_lua_module.so;" + globals
	out, err := exec.Command("nginx", "-t", "-p", dir, "-c", "nginx.conf", "-e", dir+"/error.log", "-g", globals).CombinedOutput()
	if err != nil && len(out) == 0 {
		t.Fatalf("nginx: %v", err)
	}
	var said []string
	// A message may itself have several lines.
	for text := range strings.SplitSeq("\n"+strings.TrimSuffix(string(out), "\n"), "\nnginx: ") {
		if strings.HasPrefix(text, "[") && !strings.HasPrefix(text, "[alert]") {
			said = append(said, text)
		}
	}
	return strings.ReplaceAll(strings.Join(said, "\n"), dir, "DIR")
}

// haveNginx is for tests that ask nginx: make test-peers.
func haveNginx(t testing.TB) {
	t.Helper()
	if !*update && os.Getenv("PERILUNE_PEERS") == "" {
		t.Skip("for make test-peers")
	}
	if _, err := exec.LookPath("nginx"); err != nil {
		t.Skip("nginx is not installed")
	}
	if _, err := os.Stat(nginxModules + "ngx_http_lua_module.so"); err != nil {
		t.Skip("ngx_lua is not installed")
	}
}

func caseFiles(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no case files: %v", err)
	}
	return files
}

func TestMessages(t *testing.T) {
	for _, path := range caseFiles(t) {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			if strings.Contains(filepath.Base(path), "user") && os.Geteuid() != 0 {
				t.Skip("the user directive is for root")
			}
			dir, globals, want := writeCase(t, readCase(t, path))
			if got := load(t, dir, globals); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

// TestMessagesAsNginx checks that the wanted messages are those of nginx.
func TestMessagesAsNginx(t *testing.T) {
	haveNginx(t)
	for _, path := range caseFiles(t) {
		if strings.HasPrefix(filepath.Base(path), "own-") {
			continue // what perilune does otherwise on purpose
		}
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			list := readCase(t, path)
			dir, globals, want := writeCase(t, list)
			got := ask(t, dir, globals)
			if *update && got != want {
				rewriteWant(t, path, list, got)
				return
			}
			if got != want {
				t.Errorf("nginx %s\nwant  %s", got, want)
			}
		})
	}
}

func rewriteWant(t *testing.T, path string, list []section, want string) {
	t.Helper()
	var b strings.Builder
	for _, s := range list {
		if s.name != "want" {
			b.WriteString("-- " + s.name + " --\n" + s.text)
		}
	}
	b.WriteString("-- want --\n")
	if want != "" {
		b.WriteString(want + "\n")
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
