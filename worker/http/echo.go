package http

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"perilune/conf"
	"perilune/logging"
)

// echoConf is the echo module's struct of a location.
type echoConf struct {
	commands      []echoCommand // of the content handler
	before, after []echoCommand
	status        conf.Setting[int]
}

// echoMain is the echo module's struct of the http block.
type echoMain struct{ filters bool }

// echoCommand is one of the module's directives, with its arguments evaluated when it runs.
type echoCommand struct {
	run     func(x *echoRun, args [][]byte) int
	args    []*Script
	newline bool
	name    string // of the directive
}

// echoCtx is what the module keeps of a request.
type echoCtx struct {
	timer  time.Time // of echo_reset_timer
	item   []byte    // $echo_it
	incr   int64     // $echo_incr, of a main request
	before bool      // echo_before_body has run
}

// echoRun is a run of a location's commands.
type echoRun struct {
	r     *Request
	c     *echoConf
	ctx   *echoCtx
	cmd   *echoCommand
	at    int
	parts [][]byte // what echo_foreach_split has left
}

var echoModule = &conf.Module{
	Name:       "http_echo",
	Kind:       conf.HTTPKind,
	CreateMain: func(*conf.Conf) any { return &echoMain{} },
	CreateLoc:  func(*conf.Conf) any { return &echoConf{} },
}

func init() {
	echoModule.MergeLoc = func(_ *conf.Conf, prev, c any) error {
		p, ec := prev.(*echoConf), c.(*echoConf)
		if ec.commands == nil {
			ec.commands = p.commands
		}
		if ec.before == nil {
			ec.before = p.before
		}
		if ec.after == nil {
			ec.after = p.after
		}
		ec.status.Merge(p.status, 200)
		return nil
	}
	echoModule.Preconfiguration = func(cf *conf.Conf) error {
		for _, v := range echoVariables {
			if err := AddVariable(cf, v); err != nil {
				return err
			}
		}
		return nil
	}
	echoModule.Postconfiguration = func(cf *conf.Conf) error {
		if cf.Ctx.Main[echoModule.Index].(*echoMain).filters {
			mainConfOf(cf).AddHeaderFilter(echoHeaderFilter)
			mainConfOf(cf).AddBodyFilter(echoBodyFilter)
		}
		return nil
	}
	content := func(name string, args conf.Args, run func(*echoRun, [][]byte) int, doc string) conf.Command {
		return conf.Command{Name: name, Ctx: conf.Location | conf.LocationIf, Args: args, Level: conf.LocConf, Doc: doc,
			Set: func(cf *conf.Conf, c any) error {
				ec := c.(*echoConf)
				locConfOf(cf).Handler = echoHandler
				cmd, err := compileEcho(cf, run)
				ec.commands = append(ec.commands, cmd)
				return err
			}}
	}
	around := func(name string, list func(*echoConf) *[]echoCommand, doc string) conf.Command {
		return conf.Command{Name: name, Ctx: conf.HTTP | conf.Server | conf.Location | conf.LocationIf, Args: conf.AnyArgs,
			Level: conf.LocConf, Doc: doc,
			Set: func(cf *conf.Conf, c any) error {
				cf.Ctx.Main[echoModule.Index].(*echoMain).filters = true
				cmd, err := compileEcho(cf, nil)
				*list(c.(*echoConf)) = append(*list(c.(*echoConf)), cmd)
				return err
			}}
	}
	echoModule.Commands = []conf.Command{
		content("echo", conf.AnyArgs, echoText, "Sends its arguments, with spaces between them and a newline unless -n comes first."),
		content("echo_duplicate", conf.TwoMore, echoDuplicate, "Sends a text a number of times."),
		content("echo_flush", conf.NoArgs, func(x *echoRun, _ [][]byte) int { return sent(x.r.Flush(false)) }, "Sends what is held back of the output."),
		content("echo_sleep", conf.Take1, echoSleep, "Waits some seconds, which may have decimals."),
		content("echo_blocking_sleep", conf.Take1, echoSleep, "The same as echo_sleep: it does not keep the worker from other requests."),
		content("echo_reset_timer", conf.NoArgs, func(x *echoRun, _ [][]byte) int {
			x.r.Loop().UpdateTime()
			x.ctx.timer = x.r.Loop().Now()
			return OK
		}, "Makes $echo_timer_elapsed start from here."),
		content("echo_location", conf.Take12, func(x *echoRun, args [][]byte) int { return x.location(args, true) },
			"Sends the response of a GET of a URI, with arguments."),
		content("echo_location_async", conf.Take12, func(x *echoRun, args [][]byte) int { return x.location(args, false) },
			"Likewise, without waiting for it: what follows runs at the same time."),
		content("echo_subrequest", conf.TwoMore, func(x *echoRun, args [][]byte) int { return x.subrequest(args, true) },
			"Sends the response of a request: method, URI, -q arguments, -b body, -f file with the body."),
		content("echo_subrequest_async", conf.TwoMore, func(x *echoRun, args [][]byte) int { return x.subrequest(args, false) },
			"Likewise, without waiting for it."),
		content("echo_foreach_split", conf.TwoMore, echoForeach, "Repeats what follows, up to echo_end, for the parts of a text between delimiters: $echo_it."),
		content("echo_end", conf.NoArgs, echoEnd, "Ends what echo_foreach_split repeats."),
		content("echo_request_body", conf.NoArgs, echoRequestBody, "Sends the body of the request, if it has been read."),
		content("echo_read_request_body", conf.NoArgs, func(x *echoRun, _ [][]byte) int {
			if err := x.r.ReadBody(); err != nil {
				return StatusOf(err)
			}
			return OK
		}, "Reads the body of the request."),
		content("echo_exec", conf.Take12, echoExec, "Redirects internally to a URI, with arguments, or to a named location."),
		{Name: "echo_status", Ctx: conf.Location | conf.LocationIf, Args: conf.Take1, Level: conf.LocConf,
			Set: conf.SetNum(func(c *echoConf) *conf.Setting[int] { return &c.status }), Doc: "Status of the response; 200 by default."},
		around("echo_before_body", func(c *echoConf) *[]echoCommand { return &c.before }, "Sends a text before the body of any response."),
		around("echo_after_body", func(c *echoConf) *[]echoCommand { return &c.after }, "Sends a text behind the body of any response."),
	}
}

// compileEcho compiles the arguments of a directive.
func compileEcho(cf *conf.Conf, run func(*echoRun, [][]byte) int) (echoCommand, error) {
	cmd := echoCommand{run: run, newline: true, name: cf.Args[0]}
	args := cf.Args[1:]
	if cf.Args[0] == "echo" || run == nil {
		for len(args) > 0 && strings.HasPrefix(args[0], "-") && len(args[0]) > 1 {
			option := args[0]
			if option != "-n" && option != "--" {
				break
			}
			args = args[1:]
			if option == "--" {
				break
			}
			cmd.newline = false
		}
	}
	for _, arg := range args {
		s, err := CompileScript(cf, arg)
		if err != nil {
			return cmd, err
		}
		cmd.args = append(cmd.args, s)
	}
	return cmd, nil
}

func echoCtxOf(r *Request) *echoCtx {
	if ctx, ok := r.Ctx[echoModule.Index].(*echoCtx); ok {
		return ctx
	}
	ctx := &echoCtx{timer: r.Start}
	r.Ctx[echoModule.Index] = ctx
	return ctx
}

func (cmd *echoCommand) values(r *Request) [][]byte {
	values := make([][]byte, len(cmd.args))
	for i, s := range cmd.args {
		values[i] = s.AppendTo(r, nil)
	}
	return values
}

// echoHandler is the content handler.
func echoHandler(r *Request) int {
	x := &echoRun{r: r, c: r.LocCtx[echoModule.Index].(*echoConf), ctx: echoCtxOf(r)}
	for ; x.at < len(x.c.commands); x.at++ {
		x.cmd = &x.c.commands[x.at]
		if rc := x.cmd.run(x, x.cmd.values(r)); rc != OK {
			return rc
		}
		if r.HeaderOnly && r.HeaderSent {
			break
		}
	}
	if rc := r.discardForHandler(); rc != OK {
		return rc
	}
	if rc := x.header(); rc != OK || r.HeaderOnly {
		return rc
	}
	return sent(r.Finish())
}

// header sends the header, unless that has been done.
func (x *echoRun) header() int {
	r := x.r
	if r.HeaderSent {
		return OK
	}
	r.HeadersOut.Status = x.c.status.V
	r.SetContentType()
	r.HeadersOut.ContentLengthN = -1
	r.ClearAcceptRanges()
	return sent(r.SendHeader())
}

func (x *echoRun) send(b []byte) int {
	if rc := x.header(); rc != OK || x.r.HeaderOnly {
		return rc
	}
	return sent(x.r.Write(b))
}

// line is what echo sends.
func (cmd *echoCommand) line(args [][]byte) []byte {
	b := bytes.Join(args, []byte{' '})
	if cmd.newline {
		b = append(b, '\n')
	}
	return b
}

func echoText(x *echoRun, args [][]byte) int { return x.send(x.cmd.line(args)) }

func echoDuplicate(x *echoRun, args [][]byte) int {
	n, err := strconv.ParseUint(strings.ReplaceAll(string(args[0]), "_", ""), 10, 31)
	if err != nil {
		x.r.Log(logging.Error, "invalid size specified: \"%s\"", args[0])
		return 500
	}
	return x.send(bytes.Repeat(args[1], int(n)))
}

func echoSleep(x *echoRun, args [][]byte) int {
	sec, err := strconv.ParseFloat(string(args[0]), 64)
	if err != nil || sec < 0 {
		x.r.Log(logging.Error, "invalid sleep time \"%s\"", args[0])
		return 500
	}
	if x.r.Loop().Sleep(time.Duration(sec*float64(time.Second))) != nil {
		return Error
	}
	return OK
}

// location is echo_location and echo_location_async.
func (x *echoRun) location(args [][]byte, wait bool) int {
	uri, query := args[0], []byte(nil)
	if len(args) == 2 {
		query = args[1]
	} else {
		uri, query, _ = bytes.Cut(uri, []byte{'?'})
	}
	return x.start(uri, query, &SubrequestOptions{Vars: NewVars}, wait)
}

func (x *echoRun) start(uri, query []byte, o *SubrequestOptions, wait bool) int {
	if len(uri) == 0 {
		x.r.Log(logging.Error, "echo sr: empty URI")
		return 500
	}
	if rc := x.header(); rc != OK {
		return rc
	}
	sr, err := x.r.Subrequest(uri, query, o)
	if err != nil {
		return Error
	}
	if wait && sr.Wait() != nil {
		return Error
	}
	return OK
}

// subrequest is echo_subrequest and echo_subrequest_async.
func (x *echoRun) subrequest(args [][]byte, wait bool) int {
	uri, query, _ := bytes.Cut(args[1], []byte{'?'})
	o := &SubrequestOptions{Vars: NewVars, MethodName: string(args[0])}
	o.Method = ParseMethod(args[0])
	if o.Method == MethodUnknown {
		x.r.Log(logging.Error, "echo_subrequest: unknown method \"%s\"", args[0])
		return 500
	}
	for rest := args[2:]; len(rest) > 0; rest = rest[2:] {
		if len(rest) == 1 {
			x.r.Log(logging.Error, "echo_subrequest: %s option without argument", rest[0])
			return 500
		}
		switch string(rest[0]) {
		case "-q":
			query = rest[1]
		case "-b":
			o.Body = rest[1]
		case "-f":
			body, err := x.file(string(rest[1]))
			if err != nil {
				return 500
			}
			o.Body = body
		default:
			x.r.Log(logging.Error, "unknown option for echo_subrequest: %s", rest[0])
			return 500
		}
	}
	return x.start(uri, query, o, wait)
}

// file reads the file of -f.
func (x *echoRun) file(name string) ([]byte, error) {
	path := x.r.Server.cycle.FullName(name)
	fd, errno := openFile([]byte(path))
	if errno != 0 {
		x.r.LogErr(logging.Error, errno, "open() \""+path+"\" failed")
		return nil, errno
	}
	defer func() { _ = unix.Close(fd) }()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	return x.r.readBuf(Buf{File: fd, FileLen: st.Size, Data: []byte{}})
}

func echoForeach(x *echoRun, args [][]byte) int {
	x.parts = nil
	for _, part := range bytes.Split(args[1], args[0]) {
		if len(part) > 0 {
			x.parts = append(x.parts, part)
		}
	}
	if len(x.parts) == 0 {
		for x.at < len(x.c.commands) && x.c.commands[x.at].name != "echo_end" {
			x.at++
		}
		return OK
	}
	x.ctx.item, x.parts = x.parts[0], x.parts[1:]
	return OK
}

func echoEnd(x *echoRun, _ [][]byte) int {
	if len(x.parts) == 0 {
		return OK
	}
	x.ctx.item, x.parts = x.parts[0], x.parts[1:]
	for x.at--; x.at > 0 && x.c.commands[x.at].name != "echo_foreach_split"; x.at-- {
	}
	return OK
}

func echoRequestBody(x *echoRun, _ [][]byte) int {
	body, err := x.r.wholeBody()
	if err != nil {
		return Error
	}
	if len(body) == 0 {
		return OK
	}
	return x.send(body)
}

// wholeBody is the request's body, read from its file if that is where it is.
func (r *Request) wholeBody() ([]byte, error) {
	b := &r.bodyOwner().body
	if b.file == 0 {
		return b.mem, nil
	}
	return r.readBuf(Buf{File: b.file - 1, FileLen: b.size})
}

func echoExec(x *echoRun, args [][]byte) int {
	if len(args[0]) > 0 && args[0][0] == '@' {
		return x.r.NamedLocation(args[0])
	}
	uri, query, _ := bytes.Cut(args[0], []byte{'?'})
	if len(args) == 2 {
		query = args[1]
	}
	return x.r.InternalRedirect(uri, query)
}

// echoHeaderFilter leaves the length of a body out that is going to change.
func echoHeaderFilter(next HeaderFilter) HeaderFilter {
	return func(r *Request) error {
		c := r.LocCtx[echoModule.Index].(*echoConf)
		if c.before != nil || c.after != nil {
			r.ClearContentLength()
			r.ClearAcceptRanges()
		}
		return next(r)
	}
}

// echoBodyFilter puts texts around a body.
func echoBodyFilter(next BodyFilter) BodyFilter {
	return func(r *Request, b Buf) error {
		c := r.LocCtx[echoModule.Index].(*echoConf)
		if c.before == nil && c.after == nil || r.HeaderOnly {
			return next(r, b)
		}
		if ctx := echoCtxOf(r); !ctx.before {
			ctx.before = true
			for i := range c.before {
				if err := next(r, Buf{Data: c.before[i].line(c.before[i].values(r))}); err != nil {
					return err
				}
			}
		}
		if !b.Last || c.after == nil {
			return next(r, b)
		}
		b.Last = false
		if len(b.Data) > 0 || b.FileLen > 0 {
			if err := next(r, b); err != nil {
				return err
			}
		}
		for i := range c.after {
			if err := next(r, Buf{Data: c.after[i].line(c.after[i].values(r))}); err != nil {
				return err
			}
		}
		return next(r, Buf{Last: true})
	}
}
