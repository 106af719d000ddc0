package conf

import (
	"errors"
	"os"
	"os/user"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"perilune/logging"
)

// CoreConf is what the directives of the main block say.
type CoreConf struct {
	Daemon          Setting[bool]
	MasterProcess   Setting[bool]
	WorkerProcesses Setting[int]
	WorkerPriority  Setting[int]           // nice value
	RlimitNofile    Setting[int]           // unset: unchanged
	RlimitCore      Setting[int64]         // unset: unchanged
	ShutdownTimeout Setting[time.Duration] // 0: none
	HangTimeout     Setting[time.Duration] // without a heartbeat a worker is killed; 0: never
	UpgradeTimeout  Setting[time.Duration] // for the next master to be ready
	OOMScoreAdj     Setting[int]           // unset: that of the master
	Pid             Setting[string]        // absolute path
	LockFile        Setting[string]        // absolute path
	WorkingDir      Setting[string]

	// User is whom the workers run as, if the master is root.
	User      Setting[string]
	UID, GID  int // -1 if the workers stay who the master is
	Env       []EnvVar
	ErrorLogs []logging.Directive // targets are absolute paths or "stderr"
	// ThreadPools are those of thread_pool, in their order.
	ThreadPools []ThreadPool
	affinity    []unix.CPUSet

	timerResolution Setting[time.Duration] // without a meaning here
	pcreJIT         Setting[bool]          // likewise
	autoSpread      bool
}

// EnvVar is one env directive.
type EnvVar struct {
	Name     string
	Value    string
	HasValue bool // without, the value is that of the master's environment
}

// CoreModule has the directives of the main block.
var CoreModule = &Module{
	Name: "core",
	Kind: CoreKind,
	CreateMain: func(*Conf) any {
		return &CoreConf{UID: -1, GID: -1}
	},
	InitMain: initCore,
	Commands: []Command{
		{
			Name: "daemon", Ctx: Main, Args: Flag,
			Set: SetFlag(func(c *CoreConf) *Setting[bool] { return &c.Daemon }),
			Doc: "Whether the master detaches from its terminal; on by default.",
		}, {
			Name: "master_process", Ctx: Main, Args: Flag,
			Set: SetFlag(func(c *CoreConf) *Setting[bool] { return &c.MasterProcess }),
			Doc: "Whether there are a master and workers, or one process that does all; on by default.",
		}, {
			Name: "worker_processes", Ctx: Main, Args: Take1,
			Set: setWorkerProcesses,
			Doc: "The number of workers; auto is one per processor. 1 by default.",
		}, {
			Name: "worker_cpu_affinity", Ctx: Main, Args: OneMore,
			Set: setAffinity,
			Doc: "Binds workers to processors by bit masks, one per worker, or by auto to one each.",
		}, {
			Name: "worker_priority", Ctx: Main, Args: Take1,
			Set: setPriority,
			Doc: "The nice value of the workers.",
		}, {
			Name: "worker_rlimit_nofile", Ctx: Main, Args: Take1,
			Set: SetNum(func(c *CoreConf) *Setting[int] { return &c.RlimitNofile }),
			Doc: "The limit of open files (RLIMIT_NOFILE) of a worker.",
		}, {
			Name: "worker_rlimit_core", Ctx: Main, Args: Take1,
			Set: SetOff(func(c *CoreConf) *Setting[int64] { return &c.RlimitCore }),
			Doc: "The limit of the size of core files (RLIMIT_CORE) of a worker.",
		}, {
			Name: "worker_shutdown_timeout", Ctx: Main, Args: Take1,
			Set: SetMsec(func(c *CoreConf) *Setting[time.Duration] { return &c.ShutdownTimeout }),
			Doc: "How long a worker that quits waits for its connections before it closes them.",
		}, {
			Name: "worker_hang_timeout", Ctx: Main, Args: Take1,
			Set: SetMsec(func(c *CoreConf) *Setting[time.Duration] { return &c.HangTimeout }),
			Doc: "How long a worker's event loop may stand still before its stacks are logged and it is killed and replaced; 30s by default, 0 is for ever.",
		}, {
			Name: "worker_oom_score_adj", Ctx: Main, Args: Take1,
			Set: setOOMScoreAdj,
			Doc: "How much rather (up to 1000) or less (down to -1000) than others the kernel kills a worker when memory is short.",
		}, {
			Name: "upgrade_timeout", Ctx: Main, Args: Take1,
			Set: SetMsec(func(c *CoreConf) *Setting[time.Duration] { return &c.UpgradeTimeout }, notZero),
			Doc: "How long an upgrade (SIGUSR2) waits for the new process; 60s by default. A change counts from the next start or upgrade on.",
		}, {
			Name: "user", Ctx: Main, Args: Take12,
			Set: setUser,
			Doc: "The user, and the group, that workers run as if the master is root; nobody by default.",
		}, {
			Name: "pid", Ctx: Main, Args: Take1,
			Set: SetStr(func(c *CoreConf) *Setting[string] { return &c.Pid }),
			Doc: "The file that holds the master's process id; logs/nginx.pid by default.",
		}, {
			Name: "lock_file", Ctx: Main, Args: Take1,
			Set: SetStr(func(c *CoreConf) *Setting[string] { return &c.LockFile }),
			Doc: "Checked and otherwise without effect: as in nginx on systems with atomic operations, no lock file is needed.",
		}, {
			Name: "timer_resolution", Ctx: Main, Args: Take1,
			Set: SetMsec(func(c *CoreConf) *Setting[time.Duration] { return &c.timerResolution }),
			Doc: "Checked and otherwise without effect: the clock is read once in each turn of the event loop.",
		}, {
			Name: "pcre_jit", Ctx: Main, Args: Flag,
			Set: SetFlag(func(c *CoreConf) *Setting[bool] { return &c.pcreJIT }),
			Doc: "Checked and otherwise without effect: regular expressions are not compiled to machine code.",
		}, {
			Name: "working_directory", Ctx: Main, Args: Take1,
			Set: SetStr(func(c *CoreConf) *Setting[string] { return &c.WorkingDir }),
			Doc: "The directory that a worker changes to.",
		}, {
			Name: "env", Ctx: Main, Args: Take1,
			Set: setEnv,
			Doc: "Keeps a variable of the environment for the workers, or sets it (NAME=value).",
		}, {
			Name: "error_log", Ctx: Main, Args: OneMore,
			Set: setErrorLog,
			Doc: "A file (or stderr) and the least severe level of the error log; format=json writes JSON. May be repeated.",
		}, {
			Name: "thread_pool", Ctx: Main, Args: Take23,
			Set: setThreadPool,
			Doc: "A pool of threads=number for ngx.run_worker_thread, with at most max_queue=number tasks that wait (65536 by default).",
		}, {
			Name: "include", Ctx: AnyContext, Args: Take1,
			Set: func(cf *Conf, _ any) error { return cf.Include(cf.Args[1]) },
			Doc: "Reads another file, or all files that match a mask in sorted order, as if their text stood here.",
		}, {
			Name: "load_module", Ctx: Main, Args: Take1,
			Set: setLoadModule,
			Doc: "Accepted, with a notice, for modules that are built in; all others are refused.",
		},
	},
}

// Modules are the modules that every configuration needs, to which the others
// are appended.
func Modules() []*Module { return []*Module{CoreModule, EventsModule} }

// CoreConf is the main block's configuration.
func (c *Cycle) CoreConf() *CoreConf { return c.Core[CoreModule.Index].(*CoreConf) }

func initCore(cf *Conf, conf any) error {
	c := conf.(*CoreConf)
	c.Daemon.Init(true)
	c.MasterProcess.Init(true)
	c.WorkerProcesses.Init(1)
	c.WorkerPriority.Init(0)
	c.ShutdownTimeout.Init(0)
	c.HangTimeout.Init(30 * time.Second)
	c.UpgradeTimeout.Init(time.Minute)
	if n := len(c.affinity); !c.autoSpread && n > 1 && n != c.WorkerProcesses.V {
		cf.Warnf("the number of \"worker_processes\" is not equal to the number of " +
			"\"worker_cpu_affinity\" masks, using last mask for remaining worker processes")
	}
	c.Pid.Init("logs/nginx.pid")
	c.Pid.V = cf.Cycle.FullName(c.Pid.V)
	c.LockFile.Init("logs/nginx.lock")
	c.LockFile.V = cf.Cycle.FullName(c.LockFile.V)
	if !slices.ContainsFunc(c.ErrorLogs, func(d logging.Directive) bool { return d.Syslog == nil && d.Memory == nil }) {
		c.ErrorLogs = append(c.ErrorLogs, logging.Directive{Target: cf.Cycle.FullName("logs/error.log"), Level: logging.Error})
	}
	if !c.User.IsSet && !cf.worker && os.Geteuid() == 0 {
		return c.lookUp("nobody", "nobody", "nogroup")
	}
	return nil
}

// onlineCPUs counts processors as sysconf(_SC_NPROCESSORS_ONLN) does: all that
// are on, whichever of them this process may run on.
func onlineCPUs() int {
	text, err := os.ReadFile("/sys/devices/system/cpu/online")
	if err != nil {
		return runtime.NumCPU()
	}
	n := 0
	for span := range strings.SplitSeq(strings.TrimSpace(string(text)), ",") {
		first, last, isRange := strings.Cut(span, "-")
		if !isRange {
			last = first
		}
		a, errA := strconv.Atoi(first)
		b, errB := strconv.Atoi(last)
		if errA != nil || errB != nil || b < a {
			return runtime.NumCPU()
		}
		n += b - a + 1
	}
	return n
}

func setWorkerProcesses(cf *Conf, conf any) error {
	c := conf.(*CoreConf)
	if c.WorkerProcesses.IsSet {
		return ErrDuplicate
	}
	if cf.Args[1] == "auto" {
		c.WorkerProcesses.Set(onlineCPUs())
		return nil
	}
	n, err := ParseNum(cf.Args[1])
	if err != nil {
		return DirectiveError("invalid value")
	}
	c.WorkerProcesses.Set(n)
	return nil
}

func setPriority(cf *Conf, conf any) error {
	c := conf.(*CoreConf)
	if c.WorkerPriority.V != 0 {
		return ErrDuplicate
	}
	digits, minus := strings.CutPrefix(cf.Args[1], "-")
	if !minus {
		digits = strings.TrimPrefix(digits, "+")
	}
	n, err := ParseNum(digits)
	if err != nil {
		return DirectiveError("invalid number")
	}
	if minus {
		n = -n
	}
	c.WorkerPriority.Set(n)
	return nil
}

func notZero(_ *Conf, d time.Duration) error {
	if d == 0 {
		return DirectiveError("invalid value")
	}
	return nil
}

func setOOMScoreAdj(cf *Conf, conf any) error {
	c := conf.(*CoreConf)
	if c.OOMScoreAdj.IsSet {
		return ErrDuplicate
	}
	digits, minus := strings.CutPrefix(cf.Args[1], "-")
	n, err := ParseNum(digits)
	if err != nil {
		return DirectiveError("invalid number")
	}
	if n > 1000 {
		return Errorf("value must be between -1000 and 1000")
	}
	if minus {
		n = -n
	}
	c.OOMScoreAdj.Set(n)
	return nil
}

func setUser(cf *Conf, conf any) error {
	c := conf.(*CoreConf)
	if c.User.IsSet {
		return ErrDuplicate
	}
	if cf.worker {
		c.User.Set(cf.Args[1])
		return nil
	}
	if os.Geteuid() != 0 {
		cf.Warnf("the \"user\" directive makes sense only if the master process runs with super-user privileges, ignored")
		return nil
	}
	return c.lookUp(cf.Args[1], cf.Args[len(cf.Args)-1])
}

// lookUp finds the user and the first of the groups that exists.
func (c *CoreConf) lookUp(name string, groups ...string) error {
	u, err := user.Lookup(name)
	if err != nil {
		return Errorf("getpwnam(\"%s\") failed%s", name, lookupErrno(err))
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return Errorf("getpwnam(\"%s\") failed%s", name, ErrnoText(err))
	}
	var first error
	for _, name := range groups {
		g, err := user.LookupGroup(name)
		if err != nil {
			if first == nil {
				first = Errorf("getgrnam(\"%s\") failed%s", name, lookupErrno(err))
			}
			continue
		}
		gid, err := strconv.Atoi(g.Gid)
		if err != nil {
			return Errorf("getgrnam(\"%s\") failed%s", name, ErrnoText(err))
		}
		c.User.Set(u.Username)
		c.UID, c.GID = uid, gid
		return nil
	}
	return first
}

// lookupErrno is the tail of a message of a lookup: nothing for a name that is
// simply not there.
func lookupErrno(err error) string {
	var noUser user.UnknownUserError
	var noGroup user.UnknownGroupError
	if errors.As(err, &noUser) || errors.As(err, &noGroup) {
		return ""
	}
	return ErrnoText(err)
}

func setEnv(cf *Conf, conf any) error {
	c := conf.(*CoreConf)
	name, value, has := strings.Cut(cf.Args[1], "=")
	c.Env = append(c.Env, EnvVar{name, value, has})
	return nil
}

// Environ is the environment of the workers, given the master's: what the env
// directives keep or set, and always TZ.
func (c *CoreConf) Environ(master []string) []string {
	vars := c.Env
	if !slices.ContainsFunc(vars, func(v EnvVar) bool { return v.Name == "TZ" }) {
		vars = append(slices.Clip(vars), EnvVar{Name: "TZ"})
	}
	var env []string
	for _, v := range vars {
		if v.HasValue {
			env = append(env, v.Name+"="+v.Value)
			continue
		}
		for _, e := range master {
			if strings.HasPrefix(e, v.Name+"=") {
				env = append(env, e)
				break
			}
		}
	}
	return env
}

func setErrorLog(cf *Conf, conf any) error {
	c := conf.(*CoreConf)
	d, err := cf.ErrorLog()
	if err != nil {
		return err
	}
	c.ErrorLogs = append(c.ErrorLogs, d)
	return nil
}

// ErrorLog parses an error_log directive of any block. A file gets its full
// name and is entered in the cycle's files.
func (cf *Conf) ErrorLog() (logging.Directive, error) {
	d, err := logging.ParseDirective(cf.Args[1:], cf.SyslogServer)
	cf.Cycle.Debug = cf.Cycle.Debug || d.Level == logging.Debug
	if err != nil || d.Syslog != nil || d.Memory != nil {
		return d, err
	}
	if d.Target == "stderr" {
		cf.Cycle.Files.Stderr()
		return d, nil
	}
	d.Target = cf.Cycle.FullName(d.Target)
	cf.Cycle.Files.Open(d.Target)
	return d, nil
}

// SyslogServer finds the address of a syslog server, for logging.ParseSyslog.
func (cf *Conf) SyslogServer(server string) (unix.Sockaddr, string) {
	const syslogPort = 514
	addrs, complaint := cf.ParseHostPort(server, syslogPort)
	if complaint != "" {
		return nil, complaint
	}
	a := addrs[0]
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}, ""
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}, ""
}

// builtinModules are the files of nginx's modules whose work perilune does.
var builtinModules = []string{"ndk_http_module.so", "ngx_http_lua_module.so"}

func setLoadModule(cf *Conf, conf any) error {
	if cf.Cycle.modulesUsed {
		return DirectiveError("is specified too late")
	}
	file := cf.Cycle.FullName(cf.Args[1])
	if slices.Contains(builtinModules, path.Base(file)) {
		cf.Noticef("load_module \"%s\": the module is built in, the directive has no effect", cf.Args[1])
		return nil
	}
	return Errorf("dlopen() \"%s\" failed (modules are built in and none can be loaded)", file)
}

func setAffinity(cf *Conf, conf any) error {
	c := conf.(*CoreConf)
	if c.affinity != nil {
		return ErrDuplicate
	}
	masks := cf.Args[1:]
	if masks[0] == "auto" {
		if len(masks) > 2 {
			return Errorf("invalid number of arguments in \"worker_cpu_affinity\" directive")
		}
		c.autoSpread = true
		var all unix.CPUSet
		for i := range min(onlineCPUs(), maxCPUs) {
			all.Set(i)
		}
		c.affinity = append(c.affinity, all)
		masks = masks[1:]
	}
	for _, text := range masks {
		mask, err := parseMask(text)
		if err != nil {
			return err
		}
		c.affinity = append(c.affinity, mask)
	}
	return nil
}

// maxCPUs is CPU_SETSIZE.
const maxCPUs = 1024

// parseMask reads a mask of zeros and ones, the first processor last.
func parseMask(text string) (unix.CPUSet, error) {
	var mask unix.CPUSet
	if len(text) > maxCPUs {
		return mask, Errorf("\"worker_cpu_affinity\" supports up to %d CPUs only", maxCPUs)
	}
	cpu := 0
	for i := len(text) - 1; i >= 0; i-- {
		switch text[i] {
		case ' ':
			continue
		case '0':
		case '1':
			mask.Set(cpu)
		default:
			return mask, Errorf("invalid character \"%s\" in \"worker_cpu_affinity\"", text[i:i+1])
		}
		cpu++
	}
	return mask, nil
}

// Affinity is the set of processors for the worker of a slot, or nil if it may
// run on all.
func (c *CoreConf) Affinity(slot int) *unix.CPUSet {
	if len(c.affinity) == 0 {
		return nil
	}
	last := &c.affinity[len(c.affinity)-1]
	if !c.autoSpread {
		if slot < len(c.affinity) {
			return &c.affinity[slot]
		}
		return last
	}
	count := last.Count()
	if count == 0 {
		return nil
	}
	nth := slot % count
	for cpu := range maxCPUs {
		if !last.IsSet(cpu) {
			continue
		}
		if nth == 0 {
			var one unix.CPUSet
			one.Set(cpu)
			return &one
		}
		nth--
	}
	return nil
}
