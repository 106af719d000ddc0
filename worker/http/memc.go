package http

import (
	"bytes"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"perilune/conf"
	"perilune/logging"
)

// memcConf is the struct of a location of the two modules that speak memcached's protocol: nginx's own, which only
// gets, and memc, which has the other commands, too.
type memcConf struct {
	up     proxyConf // what upstreams of all protocols are asked by
	target *upstreamConf
	script *Script // of a target with variables

	allowed        []string // commands; nil: all of them
	toLastModified conf.Setting[bool]

	gzipFlag conf.Setting[int]
	key      *VarRef // $memcached_key
}

// memcMain is the memc module's struct of the http block.
type memcMain struct {
	used bool

	cmd, key, value, flags, exptime *VarRef
	setCmd, setFlags, setExptime    func(r *Request, value []byte)
}

var memcModule = &conf.Module{
	Name:       "http_memc",
	Kind:       conf.HTTPKind,
	CreateMain: func(*conf.Conf) any { return &memcMain{} },
	CreateLoc:  func(*conf.Conf) any { return &memcConf{} },
}

var memcachedModule = &conf.Module{
	Name:      "http_memcached",
	Kind:      conf.HTTPKind,
	CreateLoc: func(*conf.Conf) any { return &memcConf{} },
}

// nextMemcached are the values of memc_next_upstream.
var nextMemcached = map[string]uint{
	"error": failError, "timeout": failTimeout, "invalid_response": failInvalidHeader, "not_found": fail404, "off": failOff,
}

func init() {
	memcModule.MergeLoc, memcachedModule.MergeLoc = mergeMemc, mergeMemc
	memcModule.Postconfiguration = addMemcVariables
	in := conf.Location | conf.LocationIf
	memcModule.Commands = append(memcCommands("memc_"),
		conf.Command{Name: "memc_pass", Ctx: in, Args: conf.Take1, Level: conf.LocConf, Set: setMemcPass,
			Doc: "Sends a command to a memcached server or an upstream group; variables may stand for a group: $memc_cmd (by the method if empty), $memc_key, $memc_value (else the body), $memc_flags, $memc_exptime."},
		conf.Command{Name: "memc_cmds_allowed", Ctx: anyLevel | conf.LocationIf, Args: conf.OneMore, Level: conf.LocConf, Set: setMemcAllowed,
			Doc: "The commands that clients may choose; all by default."},
		conf.Command{Name: "memc_flags_to_last_modified", Ctx: in, Args: conf.Flag, Level: conf.LocConf,
			Set: conf.SetFlag(func(c *memcConf) *conf.Setting[bool] { return &c.toLastModified }),
			Doc: "Takes the flags of a value for the seconds of its last change; off by default."},
		conf.Command{Name: "memc_ignore_client_abort", Ctx: in, Args: conf.Flag, Level: conf.LocConf,
			Set: conf.SetFlag(func(c *memcConf) *conf.Setting[bool] { return &c.up.ignoreAbort }),
			Doc: "Whether a command goes on when its client has closed the connection; off by default."},
	)
	memcachedModule.Commands = append(memcCommands("memcached_"),
		conf.Command{Name: "memcached_pass", Ctx: in, Args: conf.Take1, Level: conf.LocConf, Set: setMemcachedPass,
			Doc: "Answers with the value of $memcached_key from a memcached server or an upstream group."},
		loc("memcached_gzip_flag", conf.Take1, conf.SetNum(func(c *memcConf) *conf.Setting[int] { return &c.gzipFlag }),
			"A bit of a value's flags that says that it is compressed with gzip; 0, the default, is none."),
		loc("memcached_socket_keepalive", conf.Flag, conf.SetFlag(func(c *memcConf) *conf.Setting[bool] { return &c.up.socketKeepalive }),
			"Whether connections to memcached servers get SO_KEEPALIVE; off by default."),
		loc("memcached_bind", conf.Take12, func(cf *conf.Conf, c any) error { return c.(*memcConf).up.setBind(cf) },
			"Address that connections to memcached servers come from, which may have variables; transparent lets it be another host's; off takes back what outer levels say."),
		loc("memcached_next_upstream_tries", conf.Take1, conf.SetNum(func(c *memcConf) *conf.Setting[int] { return &c.up.nextTries }),
			"How many servers are asked at most; 0, the default, is no limit."),
		loc("memcached_next_upstream_timeout", conf.Take1, conf.SetMsec(func(c *memcConf) *conf.Setting[time.Duration] { return &c.up.nextTimeout }),
			"For how long further servers are asked; 0, the default, is no limit."),
	)
}

// memcCommands are the directives that both modules have.
func memcCommands(prefix string) []conf.Command {
	return []conf.Command{
		loc(prefix+"connect_timeout", conf.Take1, conf.SetMsec(func(c *memcConf) *conf.Setting[time.Duration] { return &c.up.connectTimeout }),
			"How long connecting may take; 60s by default."),
		loc(prefix+"send_timeout", conf.Take1, conf.SetMsec(func(c *memcConf) *conf.Setting[time.Duration] { return &c.up.sendTimeout }),
			"How long to wait between two writes; 60s by default."),
		loc(prefix+"read_timeout", conf.Take1, conf.SetMsec(func(c *memcConf) *conf.Setting[time.Duration] { return &c.up.readTimeout }),
			"How long to wait between two reads; 60s by default."),
		loc(prefix+"buffer_size", conf.Take1, conf.SetSize(func(c *memcConf) *conf.Setting[int64] { return &c.up.bufferSize }),
			"Size of the buffer for a response; one that is no value must fit into it. A page by default."),
		loc(prefix+"next_upstream", conf.OneMore, conf.SetBits(func(c *memcConf) *conf.Setting[uint] { return &c.up.next }, nextMemcached),
			"When the next server is asked: error, timeout, invalid_response, not_found, off; error timeout by default."),
	}
}

func mergeMemc(cf *conf.Conf, prev, c any) error {
	p, mc := prev.(*memcConf), c.(*memcConf)
	up := &mc.up
	up.buffering.Set(false)
	up.interceptErrors.Set(true)
	up.mergeSettings(cf, &p.up)
	up.mergeHidden(&proxyConf{})
	up.bufferSize.Merge(p.up.bufferSize, int64(os.Getpagesize()))
	if mc.target == nil && mc.script == nil {
		mc.target, mc.script, mc.key = p.target, p.script, p.key
	}
	if mc.allowed == nil {
		mc.allowed = p.allowed
	}
	mc.toLastModified.Merge(p.toLastModified, false)
	mc.gzipFlag.Merge(p.gzipFlag, 0)
	return nil
}

// setTarget takes an address without variables.
func (mc *memcConf) setTarget(cf *conf.Conf, handler Handler) error {
	url, complaint := parseUpstreamURL(cf.Args[1], 0, false)
	if complaint != "" {
		return conf.Errorf("%s in upstream \"%s\"", complaint, cf.Args[1])
	}
	var err error
	if mc.target, err = upstreamMainOf(cf).add(cf, url, false); err != nil {
		return err
	}
	mc.setHandler(cf, handler)
	return nil
}

func (mc *memcConf) setHandler(cf *conf.Conf, handler Handler) {
	lc := locConfOf(cf)
	lc.Handler = handler
	lc.AutoRedirect = strings.HasSuffix(lc.Name, "/")
}

func setMemcachedPass(cf *conf.Conf, c any) error {
	mc := c.(*memcConf)
	if mc.target != nil {
		return conf.ErrDuplicate
	}
	mc.key = NewVarRef(cf, "memcached_key")
	return mc.setTarget(cf, memcachedHandler)
}

func setMemcPass(cf *conf.Conf, c any) error {
	mc := c.(*memcConf)
	if mc.target != nil {
		return conf.ErrDuplicate
	}
	cf.Ctx.Main[memcModule.Index].(*memcMain).used = true
	if !HasVariables(cf.Args[1]) {
		return mc.setTarget(cf, memcHandler)
	}
	var err error
	mc.script, err = CompileScript(cf, cf.Args[1])
	mc.setHandler(cf, memcHandler)
	return err
}

func setMemcAllowed(cf *conf.Conf, c any) error {
	mc := c.(*memcConf)
	mc.allowed = nil
	for _, name := range cf.Args[1:] {
		if memcCommandNamed(name) == nil {
			return conf.Errorf("Unknown memcached command \"%s\" used in \"memc_cmds_allowed\"", name)
		}
		mc.allowed = append(mc.allowed, name)
	}
	return nil
}

// addMemcVariables makes the variables that commands are made of. They have no value unless something sets them.
func addMemcVariables(cf *conf.Conf) error {
	m := cf.Ctx.Main[memcModule.Index].(*memcMain)
	if !m.used {
		return nil
	}
	for _, v := range []struct {
		name, doc string
		ref       **VarRef
		set       *func(*Request, []byte)
	}{
		{"memc_cmd", "command for memcached", &m.cmd, &m.setCmd},
		{"memc_key", "key for memcached", &m.key, nil},
		{"memc_value", "value for memcached", &m.value, nil},
		{"memc_flags", "flags of a value for or from memcached", &m.flags, &m.setFlags},
		{"memc_exptime", "time for memcached", &m.exptime, &m.setExptime},
	} {
		if err := AddComputed(cf, v.name, v.doc, true, func(*Request) ([]byte, bool) { return nil, false }); err != nil {
			return err
		}
		*v.ref = NewVarRef(cf, v.name)
		if v.set == nil {
			continue
		}
		var err error
		if *v.set, err = SettableVariable(cf, v.name); err != nil {
			return err
		}
	}
	return AddVariable(cf, Variable{Name: "memc_flags_as_http_time", Get: memcFlagsTime, Doc: "$memc_flags as a time of HTTP"})
}

// memcFlagsTime is the value of $memc_flags_as_http_time.
func memcFlagsTime(r *Request, dst []byte, _ string) ([]byte, bool) {
	flags, found := memcMainOf(r).flags.Append(r, nil)
	sec, err := strconv.ParseInt(string(flags), 10, 64)
	if !found || err != nil {
		return dst, false
	}
	return time.Unix(sec, 0).UTC().AppendFormat(dst, "Mon, 02 Jan 2006 15:04:05 GMT"), true
}

func memcMainOf(r *Request) *memcMain { return r.Srv.Ctx.Main[memcModule.Index].(*memcMain) }

// memcachedHandler is the content handler of memcached_pass.
func memcachedHandler(r *Request) int {
	if r.MethodID&(MethodGet|MethodHead) == 0 {
		return 405
	}
	if rc := r.discardForHandler(); rc != OK {
		return rc
	}
	r.SetContentType()
	mc := r.LocCtx[memcachedModule.Index].(*memcConf)
	u := startUpstream(r, &mc.up)
	q := &memcRequest{command: memcGet, conf: mc, own: true}
	if q.key, _ = mc.key.Append(r, nil); len(q.key) == 0 {
		r.Log(logging.Error, "the \"$memcached_key\" variable is not set")
		return u.finalize(500)
	}
	return q.serve(u, mc.target)
}

// memcHandler is the content handler of memc_pass.
func memcHandler(r *Request) int {
	mc := r.LocCtx[memcModule.Index].(*memcConf)
	q := &memcRequest{conf: mc}
	if rc := q.choose(r); rc != OK {
		return rc
	}
	r.SetContentType()
	target := mc.target
	if mc.script != nil {
		name := string(mc.script.AppendTo(r, nil))
		if name == "" {
			r.Log(logging.Error, "memc: handler: empty \"memc_pass\" target")
			return 500
		}
		main := r.Srv.Ctx.Main[upstreamModule.Index].(*upstreamMain)
		if target = main.find(&upstreamURL{host: name, noPort: true}); target == nil || target.port != 0 {
			r.Log(logging.Error, "memc: upstream \"%s\" not found", name)
			return 500
		}
	}
	if rc := q.arguments(r); rc != OK {
		return rc
	}
	if err := r.ReadBody(); err != nil {
		return StatusOf(err)
	}
	u := startUpstream(r, &mc.up)
	if rc := q.complete(r); rc != OK {
		return u.finalize(rc)
	}
	return q.serve(u, target)
}

// memcCommand is a command of the protocol.
type memcCommand struct {
	name    string
	storage bool
	needs   uint // of its arguments
	answers []memcAnswer
}

// The arguments that commands have.
const (
	memcHasKey uint = 1 << iota
	memcHasExptime
	memcHasFlags
	memcHasValue
)

var memcGet = &memcCommand{name: "get", needs: memcHasKey | memcHasFlags}

var memcCommandList = func() []*memcCommand {
	list := []*memcCommand{
		memcGet,
		{name: "delete", needs: memcHasKey | memcHasExptime, answers: []memcAnswer{{text: "DELETED"}, {text: "NOT_FOUND", status: 404}}},
		{name: "flush_all", needs: memcHasExptime, answers: []memcAnswer{{text: "OK"}}},
		{name: "version", answers: []memcAnswer{{text: "VERSION ", open: true, some: true}}},
		{name: "stats"},
	}
	for _, name := range []string{"incr", "decr"} {
		list = append(list, &memcCommand{name: name, needs: memcHasKey | memcHasValue, answers: []memcAnswer{{number: true, status: 201}, {text: "NOT_FOUND", status: 404}}})
	}
	for _, name := range []string{"set", "add", "replace", "append", "prepend"} {
		list = append(list, &memcCommand{name: name, storage: true, needs: memcHasKey | memcHasExptime | memcHasFlags | memcHasValue,
			answers: []memcAnswer{{text: "STORED", status: 201}, {text: "NOT_STORED"}, {text: "EXISTS"}, {text: "NOT_FOUND", status: 404}}})
	}
	for _, c := range list {
		c.answers = append(c.answers, memcAnswer{text: "ERROR", status: 502},
			memcAnswer{text: "CLIENT_ERROR ", open: true, status: 502}, memcAnswer{text: "SERVER_ERROR ", open: true, status: 502})
	}
	return list
}()

func memcCommandNamed(name string) *memcCommand {
	for _, c := range memcCommandList {
		if c.name == name {
			return c
		}
	}
	return nil
}

// choose finds the command.
func (q *memcRequest) choose(r *Request) int {
	m := memcMainOf(r)
	name, found := m.cmd.Append(r, nil)
	if !found || len(name) == 0 {
		switch {
		case r.MethodID&(MethodGet|MethodHead) != 0:
			name = []byte("get")
		case r.MethodID == MethodPost:
			name = []byte("add")
		case r.MethodID == MethodPut:
			name = []byte("set")
		case r.MethodID == MethodDelete:
			name = []byte("delete")
		default:
			r.Log(logging.Error, "ngx_memc: $memc_cmd variable not found for HTTP %s requests", r.Method)
			return 400
		}
		m.setCmd(r, name)
	}
	if q.command = memcCommandNamed(string(name)); q.command == nil {
		r.Log(logging.Error, "ngx_memc: unknown $memc_cmd \"%s\"", name)
		return 400
	}
	if q.conf.allowed != nil && !slices.Contains(q.conf.allowed, string(name)) {
		r.Log(logging.Error, "ngx_memc: memcached command \"%s\" not allowed", name)
		return 403
	}
	return OK
}

// arguments takes the arguments that are checked before the body is read.
func (q *memcRequest) arguments(r *Request) int {
	m, c := memcMainOf(r), q.command
	if c.needs&memcHasExptime != 0 {
		q.exptime, _ = m.exptime.Append(r, nil)
		if !decimal(q.exptime, 10) {
			r.Log(logging.Error, "variable \"$memc_exptime\" takes invalid value: %s", q.exptime)
			return 400
		}
	}
	if c.storage {
		q.flags, _ = m.flags.Append(r, nil)
		if !decimal(q.flags, 10) {
			r.Log(logging.Error, "variable \"$memc_flags\" takes invalid value: %s", q.flags)
			return 400
		}
	}
	if c.needs&memcHasValue != 0 {
		q.value, q.hasValue = m.value.Append(r, nil)
		switch {
		case c.storage:
		case len(q.value) == 0:
			r.Log(logging.Error, "the \"$memc_value\" variable is required for command \"%s\"", c.name)
			return 400
		case !decimal(q.value, 20):
			r.Log(logging.Error, "variable \"$memc_value\" is invalid for incr/decr: %s", q.value)
			return 400
		}
	}
	return OK
}

// decimal reports whether a text has digits only, and not more than most of them.
func decimal(text []byte, most int) bool {
	return len(text) <= most && len(bytes.Trim(text, "0123456789")) == 0
}

// complete takes the others.
func (q *memcRequest) complete(r *Request) int {
	m, c := memcMainOf(r), q.command
	if c.needs&memcHasKey != 0 {
		if q.key, _ = m.key.Append(r, nil); len(q.key) == 0 {
			r.Log(logging.Error, "the \"$memc_key\" variable is not set")
			return 500
		}
	}
	if !c.storage {
		return OK
	}
	if !q.hasValue {
		var err error
		if q.value, err = r.wholeBody(); err != nil {
			return 500
		}
		if len(q.value) == 0 {
			r.Log(logging.Error, "neither the \"$memc_value\" variable nor the request body is available")
			return 500
		}
	}
	if len(q.flags) == 0 {
		q.flags = []byte{'0'}
		m.setFlags(r, q.flags)
	}
	if len(q.exptime) == 0 {
		q.exptime = []byte{'0'}
		m.setExptime(r, q.exptime)
	}
	return OK
}

// memcKeyEscapes are the bytes of a key that are percent-encoded.
var memcKeyEscapes = func() (t [256]bool) {
	for i := range 0x21 {
		t[i] = true
	}
	t['%'] = true
	return t
}()

// appendTo appends the command as it is sent.
func (q *memcRequest) appendTo(b []byte) []byte {
	c := q.command
	b = append(b, c.name...)
	if c.needs&memcHasKey != 0 {
		b = append(b, ' ')
		begin := len(b)
		b = appendEscaped(b, q.key, &memcKeyEscapes)
		q.key = bytes.Clone(b[begin:])
	}
	if c.storage {
		b = append(append(b, ' '), q.flags...)
	}
	if len(q.exptime) > 0 {
		b = append(append(b, ' '), q.exptime...)
	}
	switch {
	case c.storage:
		b = append(b, ' ')
		b = strconv.AppendInt(b, int64(len(q.value)), 10)
		b = append(b, "\r\n"...)
		b = append(b, q.value...)
	case c.needs&memcHasValue != 0:
		b = append(append(b, ' '), q.value...)
	}
	return append(b, "\r\n"...)
}

// serve sends the command to a server of the target and passes its answer on.
func (q *memcRequest) serve(u *upstreamRequest, target *upstreamConf) int {
	u.protocol = q
	u.target.scheme = "memcached://"
	u.use(target)
	u.head = q.appendTo(u.head[:0])
	if !u.conf.ignoreAbort.V {
		u.watch()
	}
	return u.serve()
}
