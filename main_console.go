package main

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"

	"perilune/conf"
	"perilune/ipc"
	"perilune/logging"
	"perilune/luart"
	"perilune/luart/vm"
	"perilune/worker"
	"perilune/worker/http"
	"perilune/worker/httplua"
)

// console is the ngx API around a program on the command line, as the options say.
type console struct {
	connections string
	errlogLevel string
	resolveIPv6 bool
	given       bool // there are options

	engine *worker.Console // when the API was made

	dirs, shdicts, nameServers                   []string
	mainConf, mainInclude, httpConf, httpInclude []string
}

// setter is what takes the value of an option, nil if there is no such option.
func (c *console) setter(name string) func(value string) {
	one := map[string]*string{"-c": &c.connections, "--errlog-level": &c.errlogLevel}
	many := map[string]*[]string{
		"-I": &c.dirs, "--shdict": &c.shdicts, "--ns": &c.nameServers,
		"--main-conf": &c.mainConf, "--main-include": &c.mainInclude,
		"--http-conf": &c.httpConf, "--http-include": &c.httpInclude,
	}
	c.given = true
	if p := one[name]; p != nil {
		return func(value string) { *p = value }
	}
	if p := many[name]; p != nil {
		return func(value string) { *p = append(*p, value) }
	}
	return nil
}

// Shapes of values. They are compiled when one is to be checked: most programs start without.
const (
	isNumber  = `^[0-9]+$`
	isAddress = `^([0-9]{1,3}(\.[0-9]{1,3}){3}|\[[0-9a-fA-F:]+\])$`
	isDict    = `^[_a-zA-Z0-9]+\s+[0-9]+[kKmM]?$`
)

func matches(shape, s string) bool { return regexp.MustCompile(shape).MatchString(s) }

// check complains about an option's value as OpenResty's resty does.
func (c *console) check() error {
	if !c.given {
		return nil
	}
	if !matches(isNumber, c.connections) {
		return fmt.Errorf("option -c value must be a number but found '%s'", c.connections)
	}
	if _, ok := logging.ParseLevel(c.errlogLevel); !ok {
		return fmt.Errorf("bad --errlog-level option value: %s", c.errlogLevel)
	}
	for _, s := range c.nameServers {
		if !matches(isAddress, s) {
			return fmt.Errorf("invalid --ns option value: %s\n  (expecting an IP address)", s)
		}
	}
	for _, s := range c.shdicts {
		if !matches(isDict, s) {
			return fmt.Errorf("invalid --shdict option value: %s\n  (expecting NAME SIZE)", s)
		}
	}
	return nil
}

// conf is the configuration that the options amount to.
func (c *console) conf(cwd string) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	lines := func(indent string, confs, includes []string) {
		for _, s := range confs {
			line("%s%s", indent, s)
		}
		for _, s := range includes {
			line("%sinclude %s;", indent, quote(absolute(cwd, s)))
		}
	}
	line("daemon off;\nmaster_process off;\nworker_processes 1;\nerror_log stderr %s;", c.errlogLevel)
	line("events {\n    worker_connections %s;\n}", c.connections)
	lines("", c.mainConf, c.mainInclude)
	line("http {\n    access_log off;\n    lua_socket_log_errors off;\n    lua_regex_cache_max_entries 40960;")
	resolver := "local=on"
	if len(c.nameServers) > 0 {
		resolver = strings.Join(c.nameServers, " ")
	}
	if !c.resolveIPv6 {
		resolver += " ipv6=off"
	}
	line("    resolver %s;", resolver)
	for _, s := range c.shdicts {
		line("    lua_shared_dict %s;", s)
	}
	if len(c.dirs) > 0 {
		path := ""
		for _, d := range c.dirs {
			path += d + "/?.lua;" + d + "/?/init.lua;"
		}
		line("    lua_package_path %s;", quote(path+";"))
	}
	lines("    ", c.httpConf, c.httpInclude)
	line("}")
	return b.String()
}

func absolute(cwd, path string) string {
	if strings.HasPrefix(path, "/") {
		return path
	}
	return cwd + path
}

// quote makes a string one word of a configuration.
func quote(s string) string { return strconv.Quote(s) }

// consoleSource has the text of the configuration, and the file system for what it includes.
type consoleSource struct {
	conf.FileSystem
	path, text string
}

func (s consoleSource) ReadFile(path string) ([]byte, error) {
	if path == s.path {
		return []byte(s.text), nil
	}
	return s.FileSystem.ReadFile(path)
}

// workingDirectory has a slash at its end.
func workingDirectory() (string, error) {
	cwd, err := os.Getwd()
	if err == nil && !strings.HasSuffix(cwd, "/") {
		cwd += "/"
	}
	return cwd, err
}

// dump prints the configuration, and returns the exit status.
func (c *console) dump() int {
	cwd, err := workingDirectory()
	if err != nil {
		logging.Stderr("[emerg] " + err.Error())
		return 1
	}
	fmt.Print(c.conf(cwd))
	return 0
}

// load parses the configuration that the options amount to.
func (c *console) load() (*conf.Cycle, error) {
	cwd, err := workingDirectory()
	if err != nil {
		return nil, err
	}
	source := consoleSource{path: cwd + "perilune-lua.conf", text: c.conf(cwd)}
	return conf.Load(conf.Options{Prefix: cwd, ConfFile: source.path, Source: source, Modules: modules(), Worker: true})
}

// open makes the ngx API for a machine.
func (c *console) open(m *vm.VM) (*luart.Runtime, error) {
	cycle, err := c.load()
	if err != nil {
		logging.Stderr("[emerg] " + err.Error())
		return nil, err
	}
	var rt *luart.Runtime
	hooks := &worker.Hooks{
		Init: func(srv *http.Server, info *worker.Info) (err error) {
			rt, err = httplua.InitConsole(srv, info, " "+configureArguments(), m)
			return err
		},
		InitWorker: func(srv *http.Server, info *worker.Info) error { return httplua.InitWorker(srv, info) },
		Exit:       httplua.ExitWorker,
	}
	c.engine, err = worker.NewConsole(cycle, ipc.CycleLog(cycle, logging.New(), ""), hooks)
	return rt, err
}
