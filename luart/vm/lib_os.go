package vm

import (
	"errors"
	"math"
	"os"
	osexec "os/exec"
	"perilune/strftime"
	"strings"
	"syscall"
	"time"
)

func openOS(m *VM) {
	lib := m.NewTable(0, 16)
	m.Register(lib, []Reg{
		{"clock", osClock, "seconds of CPU time the process has used"},
		{"date", osDate, "a time as text or as a table"},
		{"difftime", osDifftime, "the seconds between two times"},
		{"execute", osExecute, "runs a command by the shell"},
		{"exit", osExit, "ends the process"},
		{"getenv", osGetenv, "the value of an environment variable"},
		{"remove", osRemove, "removes a file or an empty directory"},
		{"rename", osRename, "renames a file"},
		{"setlocale", osSetlocale, "knows the locale C only"},
		{"time", osTime, "the current time, or that of a date table"},
		{"tmpname", osTmpname, "the name of a new temporary file"},
	})
	m.openLib("os", lib)
}

// errnoOf returns the text and number of a failed system call as C has them.
func errnoOf(err error) (string, int) {
	var no syscall.Errno
	if !errors.As(err, &no) {
		return err.Error(), 0
	}
	s := no.Error()
	return strings.ToUpper(s[:1]) + s[1:], int(no)
}

// pushResult pushes true, or nil, the message and the number of an error.
func (t *Thread) pushResult(err error, name string) int {
	if err == nil {
		t.PushBool(true)
		return 1
	}
	if stop, ok := err.(*threadStop); ok {
		return t.Abort(stop.err)
	}
	msg, no := errnoOf(err)
	if name != "" {
		msg = name + ": " + msg
	}
	t.PushNil()
	t.PushString(msg)
	t.PushInt(no)
	return 3
}

func osClock(t *Thread) int {
	var ts syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &ts); err != nil {
		t.PushInt(-1)
		return 1
	}
	t.PushNumber(float64(ts.Utime.Nano()+ts.Stime.Nano()) / 1e9)
	return 1
}

func osDifftime(t *Thread) int {
	t.PushNumber(t.CheckNumber(1) - t.OptNumber(2, 0))
	return 1
}

func osGetenv(t *Thread) int {
	if v, ok := os.LookupEnv(t.CheckString(1)); ok {
		t.PushString(v)
	} else {
		t.PushNil()
	}
	return 1
}

func osRemove(t *Thread) int {
	name := t.CheckString(1)
	return t.pushCall(name, func() error {
		// As C's remove: what is no file must be a directory.
		err := syscall.Unlink(name)
		if errors.Is(err, syscall.EISDIR) || errors.Is(err, syscall.EPERM) {
			err = syscall.Rmdir(name)
		}
		return err
	})
}

func osRename(t *Thread) int {
	from, to := t.CheckString(1), t.CheckString(2)
	return t.pushCall(from, func() error { return syscall.Rename(from, to) })
}

// pushCall makes a call that may block, and pushes how it ended.
func (t *Thread) pushCall(name string, call func() error) int {
	var err error
	if stop := t.m.block(t, MayBlock, func() { err = call() }); stop != nil {
		err = stop
	}
	return t.pushResult(err, name)
}

func osTmpname(t *Thread) int {
	var f *os.File
	var err error
	stop := t.m.block(t, MayBlock, func() {
		if f, err = os.CreateTemp("/tmp", "lua_"); err == nil {
			err = f.Close()
		}
	})
	if stop != nil {
		return t.pushResult(stop, "")
	}
	if err != nil {
		t.Errorf("unable to generate a unique filename")
	}
	t.PushString(f.Name())
	return 1
}

// osExecute returns the status as wait(2) gives it.
func osExecute(t *Thread) int {
	if t.Arg(1).IsNil() {
		_, err := os.Stat("/bin/sh")
		if err != nil {
			t.PushInt(0)
		} else {
			t.PushInt(1)
		}
		return 1
	}
	cmd := osexec.Command("/bin/sh", "-c", t.CheckString(1))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	t.m.FlushFiles()
	stop := t.m.block(t, Blocks, func() {
		// The status below tells how it ended.
		_ = cmd.Run()
	})
	if stop != nil {
		return t.pushResult(stop, "")
	}
	t.PushInt(waitStatus(cmd))
	return 1
}

func waitStatus(cmd *osexec.Cmd) int {
	if cmd.ProcessState == nil {
		return -1
	}
	return int(cmd.ProcessState.Sys().(syscall.WaitStatus))
}

func osExit(t *Thread) int {
	code := 0
	switch v := t.Arg(1); {
	case v.IsNil(), v == True:
	case v == False:
		code = 1
	default:
		code = t.checkInt32(1)
	}
	t.m.FlushFiles()
	if t.m.Exit != nil {
		t.m.Exit(code)
	} else {
		os.Exit(code)
	}
	return 0
}

var localeCategories = []string{"all", "collate", "ctype", "monetary", "numeric", "time"}

func osSetlocale(t *Thread) int {
	name := t.OptString(1, "C")
	t.CheckOption(2, "all", localeCategories...)
	switch name {
	case "", "C", "POSIX":
		t.PushString("C")
	default:
		t.PushNil()
	}
	return 1
}

func osTime(t *Thread) int {
	if t.Arg(1).IsNil() {
		t.PushNumber(float64(time.Now().Unix()))
		return 1
	}
	tbl := t.CheckTable(1)
	// The order in which C Lua reads them decides which is missing first.
	sec := t.dateField(tbl, "sec", 0)
	minute := t.dateField(tbl, "min", 0)
	hour := t.dateField(tbl, "hour", 12)
	day := t.dateField(tbl, "day", -1)
	month := t.dateField(tbl, "month", -1)
	year := t.dateField(tbl, "year", -1)
	d := time.Date(year, time.Month(month), day, hour, minute, sec, 0, time.Local)
	u := d.Unix()
	if dst := t.Index(tbl.Value(), String("isdst")); !dst.IsNil() && dst.Truthy() != d.IsDST() {
		// The fields are meant in the other kind of time.
		if dst.Truthy() {
			u -= 3600
		} else {
			u += 3600
		}
	}
	if u == -1 {
		t.PushNil() // mktime's error
	} else {
		t.PushNumber(float64(u))
	}
	return 1
}

// dateField returns a field as a C int; def -1 means that it must be there.
func (t *Thread) dateField(tbl *Table, name string, def int) int {
	f, ok := t.Index(tbl.Value(), String(name)).ToNumberCoerced()
	if !ok {
		if def < 0 {
			t.Errorf("field '%s' missing in date table", name)
		}
		return def
	}
	return int(int32(floatToInt(f)))
}

func osDate(t *Thread) int {
	format := t.OptString(1, "%c")
	u := time.Now().Unix()
	if !t.Arg(2).IsNil() {
		u = int64(floatToInt(t.CheckNumber(2)))
	}
	d := time.Unix(u, 0)
	if utc := strings.HasPrefix(format, "!"); utc {
		format = format[1:]
		d = d.UTC()
	}
	switch {
	case u > math.MaxInt32*31556952 || u < math.MinInt32*31556952: // the year is no C int
		t.PushNil()
	case format == "*t":
		t.Push(dateTable(t.m, d).Value())
	default:
		var buf [128]byte
		t.PushBytes(strftime.Append(buf[:0], format, d))
	}
	return 1
}

func dateTable(m *VM, d time.Time) *Table {
	tbl := m.NewTable(0, 9)
	tbl.SetStr("sec", Int(d.Second()))
	tbl.SetStr("min", Int(d.Minute()))
	tbl.SetStr("hour", Int(d.Hour()))
	tbl.SetStr("day", Int(d.Day()))
	tbl.SetStr("month", Int(int(d.Month())))
	tbl.SetStr("year", Int(d.Year()))
	tbl.SetStr("wday", Int(int(d.Weekday())+1))
	tbl.SetStr("yday", Int(d.YearDay()))
	tbl.SetStr("isdst", Bool(d.IsDST()))
	return tbl
}
