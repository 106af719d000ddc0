package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"perilune/conf"
)

func TestParseArgs(t *testing.T) {
	def := cmdline{prefix: prefix, conf: confPath, errorLog: errorLog}
	with := func(f func(c *cmdline)) cmdline {
		c := def
		f(&c)
		return c
	}
	for args, want := range map[string]cmdline{
		"":                  def,
		"-t":                with(func(c *cmdline) { c.test = true }),
		"-tq":               with(func(c *cmdline) { c.test, c.quiet = true, true }),
		"-T":                with(func(c *cmdline) { c.test, c.dump = true, true }),
		"-tc /x.conf":       with(func(c *cmdline) { c.test, c.conf = true, "/x.conf" }),
		"-tc/x.conf -q":     with(func(c *cmdline) { c.test, c.quiet, c.conf = true, true, "/x.conf" }),
		"-p/dir":            with(func(c *cmdline) { c.prefix = "/dir/" }),
		"-p dir/":           with(func(c *cmdline) { c.prefix = "dir/" }),
		"-e stderr":         with(func(c *cmdline) { c.errorLog = "stderr" }),
		"-s quit":           with(func(c *cmdline) { c.signal = "quit" }),
		"-sreload":          with(func(c *cmdline) { c.signal = "reload" }),
		"-g daemon|off;":    with(func(c *cmdline) { c.globals = "daemon off;" }),
		"-h":                with(func(c *cmdline) { c.version, c.help = true, true }),
		"-?":                with(func(c *cmdline) { c.version, c.help = true, true }),
		"-V":                with(func(c *cmdline) { c.version, c.configure = true, true }),
		"-v":                with(func(c *cmdline) { c.version = true }),
		"-":                 def,
		"-c -t":             with(func(c *cmdline) { c.conf = "-t" }),
		"-p /dir -c a -t -": with(func(c *cmdline) { c.prefix, c.conf, c.test = "/dir/", "a", true }),
	} {
		got, err := parseArgs(split(args))
		if err != nil || *got != want {
			t.Errorf("%q: %+v, %v; want %+v", args, got, err, want)
		}
	}
}

func split(s string) []string {
	list := strings.Fields(s)
	for i := range list {
		list[i] = strings.ReplaceAll(list[i], "|", " ")
	}
	return list
}

var badArgs = map[string]string{
	"-x":        `invalid option: "x"`,
	"-tx":       `invalid option: "x"`,
	"foo":       `invalid option: "foo"`,
	"-t foo":    `invalid option: "foo"`,
	"-p":        `option "-p" requires directory name`,
	"-e":        `option "-e" requires file name`,
	"-c":        `option "-c" requires file name`,
	"-g":        `option "-g" requires parameter`,
	"-s":        `option "-s" requires parameter`,
	"-s foo":    `invalid option: "-s foo"`,
	"-sfoo":     `invalid option: "-s foo"`,
	"--version": `invalid option: "-"`,
}

func TestParseArgsErrors(t *testing.T) {
	for args, want := range badArgs {
		if _, err := parseArgs(split(args)); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", args, err, want)
		}
	}
}

// TestArgsAsNginx compares the messages with those of nginx, if there is one.
func TestArgsAsNginx(t *testing.T) {
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		t.Skip(err)
	}
	for args := range badArgs {
		want, _ := exec.Command(nginx, split(args)...).CombinedOutput()
		cmd := exec.Command(binary, split(args)...)
		got, _ := cmd.CombinedOutput()
		if string(got) != string(want) || cmd.ProcessState.ExitCode() != 1 {
			t.Errorf("%q: %q, code %d; nginx says %q", args, got, cmd.ProcessState.ExitCode(), want)
		}
	}
}

func TestVersion(t *testing.T) {
	s := newSite(t)
	first := "nginx version: nginx/" + conf.NginxVersion + " (perilune/" + conf.Version + ")\n"
	if code, out := s.run("-v"); code != 0 || out != first {
		t.Errorf("-v: %d, %q", code, out)
	}
	code, out := s.run("-V")
	if code != 0 || !strings.HasPrefix(out, first+"built by go") || !strings.Contains(out, "\nbuilt with OpenSSL ") ||
		!strings.Contains(out, "\nconfigure arguments: --prefix=/") || !strings.Contains(out, " --without-http_fastcgi_module") {
		t.Errorf("-V: %d, %q", code, out)
	}
	code, out = s.run("-h")
	if code != 0 || !strings.HasPrefix(out, first+"Usage: perilune [-?hvVtTq] [-s signal] [-p prefix]\n") || !strings.Contains(out, "(default: "+prefix+")") {
		t.Errorf("-h: %d, %q", code, out)
	}
	s.conf("", "one")
	if code, out := s.run("-vt"); code != 0 || !strings.HasPrefix(out, first) || !strings.Contains(out, "test is successful") {
		t.Errorf("-vt: %d, %q", code, out)
	}
}

func TestConfigurationTest(t *testing.T) {
	s := newSite(t)
	s.conf("", "one")
	file := s.path("conf/nginx.conf")
	ok := "nginx: the configuration file " + file + " syntax is ok\n"
	good := ok + "nginx: configuration file " + file + " test is successful\n"
	bad := "nginx: configuration file " + file + " test failed\n"
	if code, out := s.run("-t"); code != 0 || out != good {
		t.Errorf("-t: %d, %q", code, out)
	}
	if code, out := s.run("-tq"); code != 0 || out != "" {
		t.Errorf("-tq: %d, %q", code, out)
	}
	if _, err := os.Stat(s.path("logs/nginx.pid")); err == nil {
		t.Error("-t leaves a pid file")
	}
	cmd := exec.Command(binary, "-p", s.dir, "-T")
	dump, err := cmd.Output()
	if want := "# configuration file " + file + ":\n" + s.read("conf/nginx.conf") + "\n"; err != nil || string(dump) != want {
		t.Errorf("-T: %v, %q", err, dump)
	}
	for main, want := range map[string]string{
		"foo;":                            "nginx: [emerg] unknown directive \"foo\" in " + file + ":2\n" + bad,
		"pid /nonexistent/nginx.pid;":     ok + "nginx: [emerg] open() \"/nonexistent/nginx.pid\" failed (2: No such file or directory)\n" + bad,
		"error_log /nonexistent/e.log;":   ok + "nginx: [emerg] open() \"/nonexistent/e.log\" failed (2: No such file or directory)\n" + bad,
		"user nobody-of-that-name nobdy;": "nginx: [emerg] getpwnam(\"nobody-of-that-name\") failed in " + file + ":2\n" + bad,
	} {
		if strings.HasPrefix(main, "user") && os.Geteuid() != 0 {
			continue
		}
		s.conf(main, "one")
		if code, out := s.run("-t"); code != 1 || out != want {
			t.Errorf("%s: %d, %q; want %q", main, code, out, want)
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if code, out := s.run("-t"); code != 1 || out != "nginx: [emerg] open() \""+file+"\" failed (2: No such file or directory)\n"+bad {
		t.Errorf("no file: %d, %q", code, out)
	}
	if code, out := s.run(); code != 1 || out != "nginx: [emerg] open() \""+file+"\" failed (2: No such file or directory)\n" {
		t.Errorf("no file: %d, %q", code, out)
	}
}

func TestNoErrorLog(t *testing.T) {
	s := newSite(t)
	s.conf("", "one")
	if err := os.RemoveAll(s.path("logs")); err != nil {
		t.Fatal(err)
	}
	want := "nginx: [alert] could not open error log file: open() \"" + s.path("logs/error.log") + "\" failed (2: No such file or directory)\n"
	if code, out := s.run("-t"); code != 1 || !strings.HasPrefix(out, want) {
		t.Errorf("%d, %q; want %q", code, out, want)
	}
	if code, out := s.run("-t", "-e", "stderr"); code != 1 || strings.Contains(out, "could not open error log") {
		t.Errorf("-e stderr: %d, %q", code, out)
	}
}

func TestErrorLogOption(t *testing.T) {
	s := newSite(t)
	s.write("conf/nginx.conf", "events { }\n")
	s.cmd = nil
	s.mustRun("-e", "logs/mine.log")
	s.mustRun("-e", "logs/mine.log", "-s", "stop")
	s.until("it has ended", func() bool { return s.pid() == 0 })
	if s.read("logs/error.log") != "" {
		t.Error("the default error log is used, too")
	}
	if !strings.Contains(s.read("logs/mine.log"), "signal process started") {
		t.Errorf("mine.log: %q", s.read("logs/mine.log"))
	}
}

func TestSignalWithoutAMaster(t *testing.T) {
	s := newSite(t)
	s.conf("", "one")
	pid := s.path("logs/nginx.pid")
	if code, out := s.run("-s", "stop"); code != 1 || out != "nginx: [error] open() \""+pid+"\" failed (2: No such file or directory)\n" {
		t.Errorf("no pid file: %d, %q", code, out)
	}
	s.write("logs/nginx.pid", "junk\n")
	if code, out := s.run("-s", "stop"); code != 1 || out != "nginx: [error] invalid PID number \"junk\" in \""+pid+"\"\n" {
		t.Errorf("junk: %d, %q", code, out)
	}
	s.write("logs/nginx.pid", "4194303\n")
	for word, sig := range map[string]string{"stop": "15", "quit": "3", "reopen": "10", "reload": "1"} {
		if code, out := s.run("-s", word); code != 1 || out != "nginx: [alert] kill(4194303, "+sig+") failed (3: No such process)\n" {
			t.Errorf("%s: %d, %q", word, code, out)
		}
	}
	s.write("logs/nginx.pid", "")
}
