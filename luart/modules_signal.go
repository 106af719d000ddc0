package luart

import (
	"math"

	"golang.org/x/sys/unix"

	"perilune/logging"
	"perilune/luart/vm"
)

// signalNumbers are the signals that Linux has of those that resty.signal knows.
var signalNumbers = map[string]unix.Signal{
	"NONE": 0, "HUP": unix.SIGHUP, "INT": unix.SIGINT, "QUIT": unix.SIGQUIT, "ILL": unix.SIGILL, "TRAP": unix.SIGTRAP,
	"ABRT": unix.SIGABRT, "BUS": unix.SIGBUS, "FPE": unix.SIGFPE, "KILL": unix.SIGKILL, "USR1": unix.SIGUSR1,
	"SEGV": unix.SIGSEGV, "USR2": unix.SIGUSR2, "PIPE": unix.SIGPIPE, "ALRM": unix.SIGALRM, "TERM": unix.SIGTERM,
	"CHLD": unix.SIGCHLD, "CONT": unix.SIGCONT, "STOP": unix.SIGSTOP, "TSTP": unix.SIGTSTP, "TTIN": unix.SIGTTIN,
	"TTOU": unix.SIGTTOU, "URG": unix.SIGURG, "XCPU": unix.SIGXCPU, "XFSZ": unix.SIGXFSZ, "VTALRM": unix.SIGVTALRM,
	"PROF": unix.SIGPROF, "WINCH": unix.SIGWINCH, "IO": unix.SIGIO, "PWR": unix.SIGPWR, "SYS": unix.SIGSYS,
}

// foreignSignals are those that only other systems have.
var foreignSignals = map[string]int{"EMT": 31, "INFO": 33}

// signum is the number that stands in argument i, or that its name has; ok is false
// for a name that is none.
func signum(t *vm.Thread, i int) (n float64, ok bool) {
	v := t.Arg(i)
	if n, ok := v.AsNumber(); ok {
		return n, true
	}
	name, _ := v.AsString()
	if sig, ok := signalNumbers[name]; ok {
		return float64(sig), true
	}
	if id, ok := foreignSignals[name]; ok {
		raise(t, "missing C def for signal %s = %d", name, id)
	}
	return 0, false
}

// signalError is the text that C has for an error.
func signalError(err error) string {
	if errno, ok := err.(unix.Errno); ok {
		return logging.Strerror(errno)
	}
	return err.Error()
}

const errSignalName = "unknown signal name"

// openSignal makes the module resty.signal.
func openSignal(rt *Runtime) *vm.Table {
	tab := rt.fill(rt.vm.NewTable(0, 3), map[string]vm.GoFunction{
		"signum": func(t *vm.Thread) int {
			n, ok := signum(t, 1)
			if !ok {
				return fail(t, errSignalName)
			}
			t.PushNumber(n)
			return 1
		},
		"kill": func(t *vm.Thread) int {
			if !t.Arg(2).Truthy() {
				return raise(t, "assertion failed!")
			}
			sig, ok := signum(t, 2)
			if !ok {
				return fail(t, errSignalName)
			}
			if !t.Arg(1).Truthy() {
				return raise(t, "assertion failed!")
			}
			pid := t.CheckNumber(1)
			if math.Abs(pid) > math.MaxInt32 || math.Abs(sig) > math.MaxInt32 {
				return fail(t, logging.Strerror(unix.EINVAL))
			}
			if err := unix.Kill(int(pid), unix.Signal(int(sig))); err != nil {
				return fail(t, signalError(err))
			}
			t.PushBool(true)
			return 1
		},
	})
	tab.SetStr("version", vm.Number(0.04))
	return tab
}
