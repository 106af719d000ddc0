package luart

import (
	"fmt"
	"strings"
	"time"

	"perilune/luart/vm"
)

// openLogger makes resty.logger.socket. The functions of the module are those of the worker's own logger; new makes further ones.
func openLogger(rt *Runtime) *vm.Table {
	var own *sink
	tab, mt := rt.class("0.03", loggerFunctions(func(*vm.Thread) (*sink, int) { return own, 1 }))
	tab.SetStr("init", rt.vm.NewFunction("init", func(t *vm.Thread) int {
		s, complaint := rt.newSink(t, 1)
		if complaint != "" {
			return fail(t, complaint)
		}
		if own != nil {
			own.retire()
		}
		own = s
		t.PushBool(true)
		return 1
	}))
	methods := rt.fill(rt.vm.NewTable(0, 4), loggerFunctions(func(t *vm.Thread) (*sink, int) {
		if tab, ok := t.Arg(1).AsTable(); ok {
			if u, ok := tab.Get(sinkField).AsUserdata(); ok {
				if s, ok := u.Data.(*sink); ok {
					return s, 2
				}
			}
		}
		typeError(t, 1, "logger")
		return nil, 0
	}))
	mt.SetStr("__index", methods.Value())
	tab.SetStr("new", rt.vm.NewFunction("new", func(t *vm.Thread) int {
		at := 1
		if first, ok := t.Arg(1).AsTable(); ok && first == tab {
			at = 2 // called as a method
		}
		s, complaint := rt.newSink(t, at)
		if complaint != "" {
			return fail(t, complaint)
		}
		self := rt.vm.NewTable(0, 1)
		_ = self.Set(sinkField, rt.vm.NewUserdata(s, nil).Value())
		self.SetMetatable(mt)
		t.Push(self.Value())
		return 1
	}))
	return tab
}

// loggerFunctions are the functions of a logger, which of finds, with the place of their first argument.
func loggerFunctions(of func(t *vm.Thread) (s *sink, first int)) map[string]vm.GoFunction {
	// with makes a function that only works with a logger.
	with := func(f func(t *vm.Thread, s *sink, first int) int) vm.GoFunction {
		return func(t *vm.Thread) int {
			s, first := of(t)
			if s == nil {
				return fail(t, "not initialized")
			}
			return f(t, s, first)
		}
	}
	return map[string]vm.GoFunction{
		"initted": func(t *vm.Thread) int {
			s, _ := of(t)
			t.PushBool(s != nil)
			return 1
		},
		"log": with(func(t *vm.Thread, s *sink, first int) int {
			msg, ok := t.Arg(first).AsString()
			if !ok {
				msg = t.ToString(t.Arg(first))
			}
			n := 0
			if s.add(msg) {
				n = len(msg)
			}
			return s.answer(t, n)
		}),
		"flush": with(func(t *vm.Thread, s *sink, _ int) int {
			n := s.size
			s.start()
			return s.answer(t, n)
		}),
		"stats": with(func(t *vm.Thread, s *sink, _ int) int {
			t.Push(s.table().Value())
			return 1
		}),
	}
}

// sinkField is where the sink is in the table that Lua code has of it.
var sinkField = vm.String("_sink")

// answer pushes a number of bytes and, once, the error that there was.
func (s *sink) answer(t *vm.Thread, n int) int {
	t.PushInt(n)
	if s.err == "" {
		return 1
	}
	t.PushString(s.err)
	s.err = ""
	return 2
}

// table is what stats returns.
func (s *sink) table() *vm.Table {
	if s.conn != nil {
		s.forget()
	}
	tab := s.rt.vm.NewTable(0, 8)
	for name, n := range map[string]int64{
		"sent": s.stats.sent, "sent_bytes": s.stats.sentBytes, "lost": s.stats.lost, "lost_bytes": s.stats.lostBytes,
		"failures": s.stats.failures, "buffered": int64(len(s.queue) - s.head), "buffered_bytes": int64(s.size),
		"unconfirmed": int64(len(s.sent)),
	} {
		tab.SetStr(name, vm.Int(int(n)))
	}
	return tab
}

// retire lets a sink that nobody can use any more send what it has.
func (s *sink) retire() {
	s.cfg.keep = false
	if s.timer != nil {
		s.timer.Stop()
	}
	s.start()
}

// newSink makes the sink of a table of settings, which is an argument.
func (rt *Runtime) newSink(t *vm.Thread, arg int) (*sink, string) {
	user, ok := t.Arg(arg).AsTable()
	if !ok {
		return nil, "user_config must be a table"
	}
	s := &sink{rt: rt, settings: rt.cfg.Settings, pause: rt.cfg.Loop.NewWaiter()}
	if c := context(t); c != nil && c.settings != nil {
		s.settings = c.settings
	}
	if s.settings == nil {
		s.settings = &Settings{}
	}
	var complaint string
	if s.cfg, complaint = sinkConfigOf(user); complaint != "" {
		return nil, complaint
	}
	rt.loggers.all = append(rt.loggers.all, s)
	if s.cfg.periodic > 0 {
		s.timer = rt.cfg.Loop.NewTimer(s.tick)
		s.timer.Set(s.cfg.periodic)
	}
	return s, ""
}

// sinkReader reads the fields of a table of settings; complaint is the first thing that is wrong.
type sinkReader struct {
	tab       *vm.Table
	complaint string
}

func (r *sinkReader) wrong(format string, args ...any) {
	if r.complaint == "" {
		r.complaint = fmt.Sprintf(format, args...)
	}
}

func (r *sinkReader) text(name string) string {
	v := r.tab.GetStr(name)
	s, ok := v.AsString()
	if !ok && !v.IsNil() {
		r.wrong("\"%s\" must be a string", name)
	}
	return s
}

func (r *sinkReader) bool(name string, def bool) bool {
	v := r.tab.GetStr(name)
	b, ok := v.AsBool()
	switch {
	case ok:
		return b
	case !v.IsNil():
		r.wrong("\"%s\" must be a boolean value", name)
	}
	return def
}

func (r *sinkReader) number(name string, def float64) float64 {
	v := r.tab.GetStr(name)
	if v.IsNil() {
		return def
	}
	f, ok := v.AsNumber()
	if !ok || !(f >= 0) || f > 1<<40 {
		r.wrong("invalid \"%s\"", name)
	}
	return f
}

func sinkConfigOf(user *vm.Table) (cfg sinkConfig, complaint string) {
	r := sinkReader{tab: user}
	host, path, kind := r.text("host"), r.text("path"), r.text("sock_type")
	port := -1
	if v := user.GetStr("port"); !v.IsNil() {
		f, ok := v.AsNumber()
		switch {
		case !ok:
			r.wrong("\"port\" must be a number")
		case f < 0 || f > 65535:
			r.wrong("\"port\" out of range 0~65535")
		}
		port = int(f)
	}
	if kind != "" && kind != "tcp" && kind != "udp" {
		r.wrong("\"sock_type\" must be \"tcp\" or \"udp\"")
	}
	const ms = float64(time.Millisecond)
	cfg = sinkConfig{
		udp:        kind == "udp",
		flushLimit: int(r.number("flush_limit", 4096)), dropLimit: int(r.number("drop_limit", 1<<20)),
		timeout: time.Duration(r.number("timeout", 1000) * ms), retryInterval: time.Duration(r.number("retry_interval", 100) * ms),
		retries: int(r.number("max_retry_times", 3)), keep: r.number("pool_size", 10) > 0,
		periodic: time.Duration(r.number("periodic_flush", 0) * float64(time.Second)),
		ssl:      r.bool("ssl", false), verify: r.bool("ssl_verify", true), serverName: r.text("sni_host"),
	}
	_ = r.number("max_buffer_reuse", 0) // there is no buffer of that kind
	switch {
	case (host == "" || port < 0) && path == "":
		r.wrong("no logging server configured. \"host\"/\"port\" or \"path\" is required.")
	case cfg.flushLimit >= cfg.dropLimit:
		r.wrong("\"flush_limit\" should be < \"drop_limit\"")
	case cfg.udp && cfg.ssl:
		r.wrong("\"ssl\" needs \"sock_type\" \"tcp\"")
	}
	if r.complaint != "" {
		return cfg, r.complaint
	}
	if cfg.timeout <= 0 {
		cfg.timeout = time.Second
	}
	if path != "" {
		host = "unix:" + strings.TrimPrefix(path, "unix:")
	}
	if cfg.serverName == "" && path == "" {
		cfg.serverName = host
	}
	var err error
	if cfg.to, cfg.name, err = parseHost(host, port); err != nil {
		return cfg, "failed to parse host name \"" + host + "\": " + err.Error()
	}
	return cfg, ""
}
