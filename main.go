// Perilune is a web platform with nginx's process model and configuration language and OpenResty's Lua API.
//
// This file decides which role the process has: master (or a process without workers, a test of a configuration, a sender of a
// signal: all by nginx's command line), worker, or the lua subcommand.
package main

import (
	"os"
	"slices"

	"perilune/conf"
	"perilune/ipc"
	"perilune/logging"
	"perilune/master"
	"perilune/worker"
	"perilune/worker/http"
	"perilune/worker/httplua"
)

func main() {
	ipc.InitTitle()
	ipc.KeepFilesHere()
	fd, isWorker, err := ipc.WorkerManifest()
	if err != nil {
		logging.Stderr("[emerg] " + err.Error())
		os.Exit(2)
	}
	if isWorker {
		os.Exit(worker.Main(fd, modules(), hooks()))
	}
	os.Exit(run(os.Args))
}

// run is the program as a user starts it.
func run(args []string) int {
	if len(args) > 1 && args[1] == "lua" {
		return runLua(args[2:])
	}
	c, err := parseArgs(args[1:])
	if err != nil {
		logging.Stderr(err.Error())
		return 1
	}
	if c.version {
		c.showVersion(os.Stderr)
		if !c.test {
			return 0
		}
	}
	return master.Start(&master.Options{
		Prefix: c.prefix, ConfFile: c.conf, ErrorLog: c.errorLog, Globals: c.globals,
		Test: c.test, Dump: c.dump, Quiet: c.quiet, Signal: c.signal,
		Modules: modules(),
		Paths:   tempPaths,
		Single:  single,
	})
}

// modules are the modules of the configuration, in the order in which they take their turns.
func modules() []*conf.Module {
	list := []*conf.Module{conf.CoreModule, conf.EventsModule}
	list = append(list, http.Modules()...)
	return append(list, httplua.Module)
}

// hooks tie Lua to the worker.
func hooks() *worker.Hooks {
	return &worker.Hooks{
		Init: func(srv *http.Server, info *worker.Info) error {
			return httplua.Init(srv, info, " "+configureArguments())
		},
		InitWorker: func(srv *http.Server, info *worker.Info) error { return httplua.InitWorker(srv, info) },
		Memory:     httplua.Memory,
		Outgrown:   httplua.Outgrown,
		Traceback:  httplua.Traceback,
		Exit:       httplua.ExitWorker,
	}
}

// single runs the process of master_process off.
func single(h *master.SingleHost) int {
	host := &worker.Host{
		First:   (*worker.Cycle)(h.First),
		Started: h.Started, Reopen: h.Reopen, Closing: h.Closing, Finish: h.Finish,
		Reload: func() (*worker.Cycle, error) {
			c, err := h.Reload()
			return (*worker.Cycle)(c), err
		},
	}
	return worker.Single(host, hooks())
}

// tempPaths are the directories that the workers write to.
func tempPaths(cycle *conf.Cycle) []string {
	var list []string
	var walk func(ctx *conf.Ctx)
	walk = func(ctx *conf.Ctx) {
		for _, dir := range http.TempDirs(ctx) {
			if dir != "" && !slices.Contains(list, dir) {
				list = append(list, dir)
			}
		}
		for _, child := range ctx.Children {
			walk(child)
		}
	}
	if cycle.HTTP != nil {
		walk(cycle.HTTP)
	}
	return list
}
