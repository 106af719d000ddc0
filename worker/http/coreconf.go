package http

import (
	"os"
	"time"

	"perilune/conf"
	"perilune/logging"
	"perilune/worker/resolver"
)

// HTTPModule has the http directive itself.
var HTTPModule = &conf.Module{
	Name: "http",
	Kind: conf.CoreKind,
	Commands: []conf.Command{{
		Name: "http", Ctx: conf.Main, Args: conf.NoArgs | conf.Block,
		Set: setHTTP,
		Doc: "The block with the directives of the HTTP server.",
	}},
}

// CoreModule has the directives of the engine.
var CoreModule = &conf.Module{
	Name:       "http_core",
	Kind:       conf.HTTPKind,
	CreateMain: func(*conf.Conf) any { return &MainConf{} },
	CreateSrv:  func(*conf.Conf) any { return &SrvConf{} },
	CreateLoc:  func(*conf.Conf) any { return &LocConf{} },
	MergeSrv:   mergeSrv,
	MergeLoc:   mergeLoc,
}

const anyLevel = conf.HTTP | conf.Server | conf.Location

func init() {
	CoreModule.Commands = append(append(blockCommands(), serverCommands()...), locationCommands()...)
}

func loc(name string, args conf.Args, set func(*conf.Conf, any) error, doc string) conf.Command {
	return conf.Command{Name: name, Ctx: anyLevel, Args: args, Level: conf.LocConf, Set: set, Doc: doc}
}

func srv(name string, args conf.Args, set func(*conf.Conf, any) error, doc string) conf.Command {
	return conf.Command{Name: name, Ctx: conf.HTTP | conf.Server, Args: args, Level: conf.SrvConf, Set: set, Doc: doc}
}

// setScript makes a handler for a directive with one text that may have variables in it.
func setScript[C any](f func(*C) *conf.Setting[*Script]) func(*conf.Conf, any) error {
	return func(cf *conf.Conf, c any) error {
		s := f(c.(*C))
		if s.IsSet {
			return conf.ErrDuplicate
		}
		x, err := CompileScript(cf, cf.Args[1])
		s.Set(x)
		return err
	}
}

func flag(f func(*LocConf) *conf.Setting[bool]) func(*conf.Conf, any) error { return conf.SetFlag(f) }

func msec(f func(*LocConf) *conf.Setting[time.Duration]) func(*conf.Conf, any) error {
	return conf.SetMsec(f)
}

func blockCommands() []conf.Command {
	return []conf.Command{
		hashSize("variables_hash_max_size", 2), hashSize("variables_hash_bucket_size", 3),
		hashSize("server_names_hash_max_size", 4), hashSize("server_names_hash_bucket_size", 5),
		{
			Name: "server", Ctx: conf.HTTP, Args: conf.NoArgs | conf.Block, Level: conf.MainConf,
			Set: setServer, Doc: "A virtual server.",
		}, {
			Name: "location", Ctx: conf.Server | conf.Location, Args: conf.Take12 | conf.Block, Level: conf.LocConf,
			Set: setLocation, Doc: "Settings for requests by their URI: a prefix, = exact, ^~ prefix before regular expressions, ~ and ~* regular expression, @name.",
		}, {
			Name: "limit_except", Ctx: conf.Location, Args: conf.OneMore | conf.Block, Level: conf.LocConf,
			Set: setLimitExcept, Doc: "Settings (allow, deny, auth_basic) for all methods but these.",
		}, {
			Name: "listen", Ctx: conf.Server, Args: conf.OneMore, Level: conf.SrvConf,
			Set: setListen, Doc: "An address and port, or unix:path, that the server listens on. *:80 by default, *:8000 without super-user privileges.",
		}, {
			Name: "server_name", Ctx: conf.Server, Args: conf.OneMore, Level: conf.SrvConf,
			Set: setServerName, Doc: "Names of the server: plain, with a wildcard at either end, or ~regex.",
		},
	}
}

func serverCommands() []conf.Command {
	return []conf.Command{
		srv("client_header_timeout", conf.Take1, conf.SetMsec(func(c *SrvConf) *conf.Setting[time.Duration] { return &c.ClientHeaderTimeout }),
			"How long the header of a request may take; 60s by default."),
		srv("client_header_buffer_size", conf.Take1, conf.SetSize(func(c *SrvConf) *conf.Setting[int64] { return &c.ClientHeaderBufferSize }),
			"Size of the buffer that a request's header is read into; 1k by default."),
		srv("large_client_header_buffers", conf.Take2, conf.SetBufs(func(c *SrvConf) *conf.Setting[conf.Bufs] { return &c.LargeClientHeaderBuffers }),
			"Number and size of the buffers for headers that need more; no line may be longer than one. 4 8k by default."),
		srv("ignore_invalid_headers", conf.Flag, conf.SetFlag(func(c *SrvConf) *conf.Setting[bool] { return &c.IgnoreInvalidHeaders }),
			"Whether headers with unusual bytes in their names are ignored; on by default."),
		srv("merge_slashes", conf.Flag, conf.SetFlag(func(c *SrvConf) *conf.Setting[bool] { return &c.MergeSlashes }),
			"Whether runs of slashes in a URI are one; on by default."),
		srv("underscores_in_headers", conf.Flag, conf.SetFlag(func(c *SrvConf) *conf.Setting[bool] { return &c.UnderscoresInHeaders }),
			"Whether an underscore in a header's name is usual; off by default."),
	}
}

func locationCommands() []conf.Command {
	withIf := loc("error_log", conf.OneMore, setErrorLog, "The error log: file or stderr, level, format=text|json.")
	body := loc("client_max_body_size", conf.Take1, conf.SetOff(func(c *LocConf) *conf.Setting[int64] { return &c.ClientMaxBodySize }),
		"Largest request body, 413 beyond; 0 is no limit. 1m by default.")
	internal := conf.Command{Name: "internal", Ctx: conf.Location, Args: conf.NoArgs, Level: conf.LocConf, Set: setInternal,
		Doc: "The location is for internal redirects only; 404 for others."}
	sendfile := loc("sendfile", conf.Flag, flag(func(c *LocConf) *conf.Setting[bool] { return &c.Sendfile }),
		"Whether files are sent with sendfile(2); off by default.")
	sendfile.Ctx |= conf.LocationIf
	table := []conf.Command{
		withIf, body, internal, sendfile,
		loc("default_type", conf.Take1, conf.SetStr(func(c *LocConf) *conf.Setting[string] { return &c.DefaultType }),
			"Content type where the types block knows none; text/plain by default."),
		loc("client_body_buffer_size", conf.Take1, conf.SetSize(func(c *LocConf) *conf.Setting[int64] { return &c.ClientBodyBufferSize }),
			"How much of a request body is kept in memory; 8k by default."),
		loc("client_body_timeout", conf.Take1, msec(func(c *LocConf) *conf.Setting[time.Duration] { return &c.ClientBodyTimeout }),
			"How long to wait for more of a request body, 408 then; 60s by default."),
		loc("client_body_temp_path", conf.Take1234, setTempPath,
			"Directory for request bodies, and the digits of up to three levels of directories in it; client_body_temp by default."),
		loc("client_body_in_file_only", conf.Take1, conf.SetEnum(func(c *LocConf) *conf.Setting[BodyFileMode] { return &c.ClientBodyInFileOnly },
			map[string]BodyFileMode{"off": BodyFileOff, "on": BodyFileOn, "clean": BodyFileClean}),
			"Whether every request body goes to a file, and whether the file is removed with the request; off by default."),
		loc("client_body_in_single_buffer", conf.Flag, flag(func(c *LocConf) *conf.Setting[bool] { return &c.ClientBodyInSingleBuffer }),
			"Checked and otherwise without effect: a body in memory is in one piece in any case."),
		loc("send_timeout", conf.Take1, msec(func(c *LocConf) *conf.Setting[time.Duration] { return &c.SendTimeout }),
			"How long to wait between two writes to a client; 60s by default."),
		loc("postpone_output", conf.Take1, conf.SetSize(func(c *LocConf) *conf.Setting[int64] { return &c.PostponeOutput }),
			"Output is held back until there is this much; 1460 by default."),
		loc("tcp_nodelay", conf.Flag, flag(func(c *LocConf) *conf.Setting[bool] { return &c.TCPNodelay }),
			"Whether keep-alive connections get TCP_NODELAY; on by default."),
		loc("tcp_nopush", conf.Flag, flag(func(c *LocConf) *conf.Setting[bool] { return &c.TCPNopush }),
			"Whether sendfile puts header and file together with TCP_CORK; off by default."),
		loc("reset_timedout_connection", conf.Flag, flag(func(c *LocConf) *conf.Setting[bool] { return &c.ResetTimedoutConnection }),
			"Whether connections that timed out are reset; off by default."),
		loc("absolute_redirect", conf.Flag, flag(func(c *LocConf) *conf.Setting[bool] { return &c.AbsoluteRedirect }),
			"Whether redirects to a path become absolute; on by default."),
		loc("server_name_in_redirect", conf.Flag, flag(func(c *LocConf) *conf.Setting[bool] { return &c.ServerNameInRedirect }),
			"Whether absolute redirects name the server instead of the Host of the request; off by default."),
		loc("port_in_redirect", conf.Flag, flag(func(c *LocConf) *conf.Setting[bool] { return &c.PortInRedirect }),
			"Whether absolute redirects name the port; on by default."),
		loc("log_not_found", conf.Flag, flag(func(c *LocConf) *conf.Setting[bool] { return &c.LogNotFound }),
			"Whether missing files are logged; on by default."),
		loc("log_subrequest", conf.Flag, flag(func(c *LocConf) *conf.Setting[bool] { return &c.LogSubrequest }),
			"Whether subrequests go through the log phase as well; off by default."),
		loc("chunked_transfer_encoding", conf.Flag, flag(func(c *LocConf) *conf.Setting[bool] { return &c.ChunkedTransferEncoding }),
			"Whether responses of unknown length are chunked; on by default."),
		loc("server_tokens", conf.Take1, conf.SetEnum(func(c *LocConf) *conf.Setting[TokensMode] { return &c.ServerTokens },
			map[string]TokensMode{"off": TokensOff, "on": TokensOn, "build": TokensBuild}),
			"Whether the version is shown in Server and on error pages; on by default."),
		loc("resolver", conf.OneMore, setResolver,
			"Name servers, by address or by a name that is looked up at start, with a port if it is not 53; valid=time, ipv4=off, ipv6=off; local=on for those of /etc/resolv.conf and the names in /etc/hosts."),
		loc("resolver_timeout", conf.Take1, msec(func(c *LocConf) *conf.Setting[time.Duration] { return &c.ResolverTimeout }),
			"How long to wait for the addresses of a name; 30s by default."),
	}
	table = append(table, outputCommands()...)
	table = append(table, keepaliveCommands()...)
	return append(table, unusedCommands()...)
}

// unusedCommands are directives for which there is nothing to set here: they are checked as nginx does.
func unusedCommands() []conf.Command {
	const doc = "Checked and otherwise without effect: "
	const minPool, poolAlignment = 112, 16
	poolSize := func(_ *conf.Conf, n int64) error {
		switch {
		case n < minPool:
			return conf.Errorf("the pool size must be no less than %d", minPool)
		case n%poolAlignment != 0:
			return conf.Errorf("the pool size must be a multiple of %d", poolAlignment)
		}
		return nil
	}
	return []conf.Command{
		srv("connection_pool_size", conf.Take1, conf.SetSize(func(c *SrvConf) *conf.Setting[int64] { return &c.connectionPool }, poolSize),
			doc+"memory is not taken in pools."),
		srv("request_pool_size", conf.Take1, conf.SetSize(func(c *SrvConf) *conf.Setting[int64] { return &c.requestPool }, poolSize),
			doc+"memory is not taken in pools."),
		loc("subrequest_output_buffer_size", conf.Take1, conf.SetSize(func(c *LocConf) *conf.Setting[int64] { return &c.subrequestBuffer }),
			doc+"what is kept in memory of subrequests has no limit."),
		loc("open_file_cache_events", conf.Flag, conf.SetFlag(func(c *LocConf) *conf.Setting[bool] { return &c.openFileEvents }),
			doc+"the kernel sends no such events."),
		loc("send_lowat", conf.Take1, conf.SetSize(func(c *LocConf) *conf.Setting[int64] { return &c.sendLowat }, func(cf *conf.Conf, _ int64) error {
			cf.Warnf("\"send_lowat\" is not supported, ignored")
			return nil
		}), doc+"the kernel has no such mark."),
	}
}

func outputCommands() []conf.Command {
	table := []conf.Command{
		loc("limit_rate", conf.Take1, setSizeValue(func(c *LocConf) *conf.Setting[*sizeValue] { return &c.LimitRate }),
			"Bytes a second that a response may take, variables allowed; 0, the default, is no limit. See $limit_rate."),
		loc("limit_rate_after", conf.Take1, setSizeValue(func(c *LocConf) *conf.Setting[*sizeValue] { return &c.LimitRateAfter }),
			"How much of a response is sent before limit_rate begins to count; 0 by default."),
	}
	for i := range table {
		table[i].Ctx |= conf.LocationIf
	}
	return append(table,
		loc("sendfile_max_chunk", conf.Take1, conf.SetSize(func(c *LocConf) *conf.Setting[int64] { return &c.SendfileMaxChunk }),
			"How much one sendfile(2) sends before other connections have their turn; 0 is no limit. 2m by default."),
		loc("output_buffers", conf.Take2, conf.SetBufs(func(c *LocConf) *conf.Setting[conf.Bufs] { return &c.OutputBuffers }),
			"Size of the pieces in which files are read where sendfile is off or a filter wants them; the number is checked and otherwise without effect. 2 32k by default."),
		loc("read_ahead", conf.Take1, conf.SetSize(func(c *LocConf) *conf.Setting[int64] { return &c.ReadAhead }),
			"Of files longer than this the kernel is told that they are read from beginning to end; 0, the default, is never."),
		loc("disable_symlinks", conf.Take12, setDisableSymlinks,
			"Whether files behind symbolic links are refused: off, on, if_not_owner (of link and file); from= is the part of the path that is not looked at."),
		loc("open_file_cache", conf.Take12, setOpenFileCache,
			"Keeps open files: max= is their number, inactive= how long one is kept that nobody asks for, 60s by default; off by default."),
		loc("open_file_cache_valid", conf.Take1, conf.SetSec(func(c *LocConf) *conf.Setting[time.Duration] { return &c.OpenFileCacheValid }),
			"How long what the cache knows of a file is not looked at again; 60s by default."),
		loc("open_file_cache_min_uses", conf.Take1, conf.SetNum(func(c *LocConf) *conf.Setting[int] { return &c.OpenFileCacheMinUses }),
			"How often a file must be asked for to be kept open; 1 by default."),
		loc("open_file_cache_errors", conf.Flag, flag(func(c *LocConf) *conf.Setting[bool] { return &c.OpenFileCacheErrors }),
			"Whether the cache keeps that a file is missing; off by default."))
}

func keepaliveCommands() []conf.Command {
	return []conf.Command{
		loc("keepalive_timeout", conf.Take12, setKeepalive,
			"How long an idle connection is kept, and the value of the Keep-Alive header; 75s by default."),
		loc("keepalive_min_timeout", conf.Take1, msec(func(c *LocConf) *conf.Setting[time.Duration] { return &c.KeepaliveMinTimeout }),
			"How long an idle connection is kept even when the worker is going away; 0 by default."),
		loc("keepalive_time", conf.Take1, msec(func(c *LocConf) *conf.Setting[time.Duration] { return &c.KeepaliveTime }),
			"The age at which a connection ends with its next response; 1h by default."),
		loc("keepalive_requests", conf.Take1, conf.SetNum(func(c *LocConf) *conf.Setting[int] { return &c.KeepaliveRequests }),
			"How many requests a connection may serve; 1000 by default."),
		loc("keepalive_disable", conf.Take12, conf.SetBits(func(c *LocConf) *conf.Setting[uint] { return &c.KeepaliveDisable },
			map[string]uint{"none": disableNone, "msie6": disableMSIE6, "safari": disableSafari}),
			"Browsers that get no keep-alive; msie6 by default."),
		loc("lingering_close", conf.Take1, conf.SetEnum(func(c *LocConf) *conf.Setting[LingeringMode] { return &c.LingeringClose },
			map[string]LingeringMode{"off": LingeringOff, "on": LingeringOn, "always": LingeringAlways}),
			"Whether unread input is read away before a connection is closed; on by default."),
		loc("lingering_time", conf.Take1, msec(func(c *LocConf) *conf.Setting[time.Duration] { return &c.LingeringTime }),
			"How long that may take in all; 30s by default."),
		loc("lingering_timeout", conf.Take1, msec(func(c *LocConf) *conf.Setting[time.Duration] { return &c.LingeringTimeout }),
			"How long to wait for more of it; 5s by default."),
	}
}

func setErrorLog(cf *conf.Conf, c any) error {
	lc := c.(*LocConf)
	d, err := cf.ErrorLog()
	if err != nil {
		return err
	}
	// Registered now, so that the master opens the file with all others.
	logging.New().AddDirective(cf.Cycle.Files, d)
	lc.ErrorLogs.Set(append(lc.ErrorLogs.V, d))
	return nil
}

func setResolver(cf *conf.Conf, c any) error {
	lc := c.(*LocConf)
	if lc.Resolver.IsSet {
		return conf.ErrDuplicate
	}
	r, err := resolver.Parse(cf, cf.Args[1:])
	if err != nil {
		return err
	}
	lc.Resolver.Set(r)
	return nil
}

func setInternal(_ *conf.Conf, c any) error {
	lc := c.(*LocConf)
	if lc.Internal.IsSet {
		return conf.ErrDuplicate
	}
	lc.Internal.Set(true)
	return nil
}

func setKeepalive(cf *conf.Conf, c any) error {
	lc := c.(*LocConf)
	if lc.KeepaliveTimeout.IsSet {
		return conf.ErrDuplicate
	}
	d, err := conf.ParseTime(cf.Args[1], false)
	if err != nil {
		return conf.DirectiveError("invalid value")
	}
	lc.KeepaliveTimeout.Set(d)
	if len(cf.Args) == 2 {
		return nil
	}
	d, err = conf.ParseTime(cf.Args[2], true)
	if err != nil {
		return conf.DirectiveError("invalid value")
	}
	lc.KeepaliveHeader.Set(d)
	return nil
}

func setTempPath(cf *conf.Conf, c any) error {
	lc := c.(*LocConf)
	if lc.ClientBodyTempPath.IsSet {
		return conf.ErrDuplicate
	}
	t, err := parseTempPath(cf)
	if err == nil {
		lc.ClientBodyTempPath.Set(t)
	}
	return err
}

// parseTempPath reads the arguments of a directive that names a directory for temporary files.
func parseTempPath(cf *conf.Conf) (TempPath, error) {
	t := TempPath{Dir: cf.Cycle.FullName(cf.Args[1])}
	for _, arg := range cf.Args[2:] {
		n, err := conf.ParseNum(arg)
		if err != nil || n < 1 || n > 3 {
			return t, conf.DirectiveError("invalid value")
		}
		t.Levels = append(t.Levels, n)
	}
	return t, nil
}

// connectionPoolSize is nginx's default of a directive that has no meaning here
// but that it is the least size of a large header buffer.
const connectionPoolSize = 512

func mergeSrv(_ *conf.Conf, prev, c any) error {
	p, s := prev.(*SrvConf), c.(*SrvConf)
	s.ClientHeaderTimeout.Merge(p.ClientHeaderTimeout, 60*time.Second)
	s.ClientHeaderBufferSize.Merge(p.ClientHeaderBufferSize, 1024)
	s.LargeClientHeaderBuffers.Merge(p.LargeClientHeaderBuffers, conf.Bufs{Num: 4, Size: 8192})
	s.IgnoreInvalidHeaders.Merge(p.IgnoreInvalidHeaders, true)
	s.MergeSlashes.Merge(p.MergeSlashes, true)
	s.UnderscoresInHeaders.Merge(p.UnderscoresInHeaders, false)
	if s.LargeClientHeaderBuffers.V.Size < connectionPoolSize {
		return conf.Errorf("the \"large_client_header_buffers\" size must be equal to or greater than \"connection_pool_size\"")
	}
	if len(s.Names) == 0 {
		s.Names = []ServerName{{}}
	}
	return nil
}

func mergeLoc(cf *conf.Conf, prev, c any) error {
	p, l := prev.(*LocConf), c.(*LocConf)
	l.ErrorLogs.Merge(p.ErrorLogs, nil)
	l.Internal.Merge(p.Internal, false)
	l.DefaultType.Merge(p.DefaultType, "text/plain")
	l.ClientMaxBodySize.Merge(p.ClientMaxBodySize, 1<<20)
	l.ClientBodyBufferSize.Merge(p.ClientBodyBufferSize, int64(2*os.Getpagesize()))
	l.ClientBodyTimeout.Merge(p.ClientBodyTimeout, 60*time.Second)
	l.ClientBodyTempPath.Merge(p.ClientBodyTempPath, TempPath{Dir: cf.Cycle.FullName("client_body_temp")})
	l.ClientBodyInFileOnly.Merge(p.ClientBodyInFileOnly, BodyFileOff)
	l.ClientBodyInSingleBuffer.Merge(p.ClientBodyInSingleBuffer, false)
	l.SendTimeout.Merge(p.SendTimeout, 60*time.Second)
	l.PostponeOutput.Merge(p.PostponeOutput, 1460)
	l.KeepaliveTimeout.Merge(p.KeepaliveTimeout, 75*time.Second)
	l.KeepaliveHeader.Merge(p.KeepaliveHeader, 0)
	l.KeepaliveMinTimeout.Merge(p.KeepaliveMinTimeout, 0)
	l.KeepaliveTime.Merge(p.KeepaliveTime, time.Hour)
	l.KeepaliveRequests.Merge(p.KeepaliveRequests, 1000)
	l.KeepaliveDisable.Merge(p.KeepaliveDisable, disableMSIE6)
	l.LingeringClose.Merge(p.LingeringClose, LingeringOn)
	l.LingeringTime.Merge(p.LingeringTime, 30*time.Second)
	l.LingeringTimeout.Merge(p.LingeringTimeout, 5*time.Second)
	l.ResetTimedoutConnection.Merge(p.ResetTimedoutConnection, false)
	l.TCPNodelay.Merge(p.TCPNodelay, true)
	l.TCPNopush.Merge(p.TCPNopush, false)
	l.Sendfile.Merge(p.Sendfile, false)
	l.SendfileMaxChunk.Merge(p.SendfileMaxChunk, 2<<20)
	l.OutputBuffers.Merge(p.OutputBuffers, conf.Bufs{Num: 2, Size: 32768})
	l.ReadAhead.Merge(p.ReadAhead, 0)
	l.DisableSymlinks.Merge(p.DisableSymlinks, symlinksConf{})
	l.OpenFileCache.Merge(p.OpenFileCache, nil)
	l.OpenFileCacheValid.Merge(p.OpenFileCacheValid, time.Minute)
	l.OpenFileCacheMinUses.Merge(p.OpenFileCacheMinUses, 1)
	l.OpenFileCacheErrors.Merge(p.OpenFileCacheErrors, false)
	l.LimitRate.Merge(p.LimitRate, &sizeValue{})
	l.LimitRateAfter.Merge(p.LimitRateAfter, &sizeValue{})
	l.AbsoluteRedirect.Merge(p.AbsoluteRedirect, true)
	l.ServerNameInRedirect.Merge(p.ServerNameInRedirect, false)
	l.PortInRedirect.Merge(p.PortInRedirect, true)
	l.LogNotFound.Merge(p.LogNotFound, true)
	l.LogSubrequest.Merge(p.LogSubrequest, false)
	l.ServerTokens.Merge(p.ServerTokens, TokensOn)
	l.ChunkedTransferEncoding.Merge(p.ChunkedTransferEncoding, true)
	l.Resolver.Merge(p.Resolver, nil)
	l.ResolverTimeout.Merge(p.ResolverTimeout, 30*time.Second)
	return nil
}
