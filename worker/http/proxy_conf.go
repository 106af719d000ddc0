package http

import (
	"os"
	"strings"
	"time"

	"perilune/conf"
)

// proxyConf is the proxy module's struct of a location.
type proxyConf struct {
	pass     *proxyPass
	redirect conf.Setting[bool] // off: false
	method   conf.Setting[*Script]
	body     conf.Setting[*Script]
	version  conf.Setting[int] // 1000 or 1001

	redirects     []*proxyRewrite
	cookieDomains conf.Setting[[]*proxyRewrite]
	cookiePaths   conf.Setting[[]*proxyRewrite]
	cookieFlags   conf.Setting[[]*proxyCookieFlags]

	sets    []setHeader // of proxy_set_header, in this block or inherited
	headers []setHeader // with the defaults
	ownSets nameSet     // what is not taken over from the client

	hide, show []string // of proxy_hide_header and proxy_pass_header; nil: inherited
	hidden     nameSet

	buffering       conf.Setting[bool]
	passHeaders     conf.Setting[bool]
	passBody        conf.Setting[bool]
	ignoreAbort     conf.Setting[bool]
	interceptErrors conf.Setting[bool]
	socketKeepalive conf.Setting[bool]
	connectTimeout  conf.Setting[time.Duration]
	sendTimeout     conf.Setting[time.Duration]
	readTimeout     conf.Setting[time.Duration]
	nextTimeout     conf.Setting[time.Duration]
	nextTries       conf.Setting[int]
	next            conf.Setting[uint]
	ignore          conf.Setting[uint]
	bufferSize      conf.Setting[int64]
	buffers         conf.Setting[conf.Bufs]
	busySize        conf.Setting[int64]
	maxTempSize     conf.Setting[int64]
	tempWriteSize   conf.Setting[int64]
	tempPath        conf.Setting[TempPath]
	limitRate       conf.Setting[*sizeValue]
	bind            conf.Setting[*proxyBind]
	passTrailers    conf.Setting[bool]
	forceRanges     conf.Setting[bool]
	requestBuf      conf.Setting[bool]
	sendLowat       conf.Setting[int64]
	hashMaxSize     conf.Setting[int]
	hashBucketSize  conf.Setting[int]
}

// nameSet is a set of header names in lower case, by their length.
type nameSet [][]string

func (s *nameSet) add(name string) {
	for len(*s) <= len(name) {
		*s = append(*s, nil)
	}
	(*s)[len(name)] = append((*s)[len(name)], strings.ToLower(name))
}

// inSet reports whether a name, in any case, is in the set.
func inSet[S ~string | ~[]byte](s nameSet, name S) bool {
	if len(name) >= len(s) {
		return false
	}
	for _, n := range s[len(name)] {
		if equalLower(name, n) {
			return true
		}
	}
	return false
}

// What makes a request go to the next server.
const (
	failError uint = 1 << iota
	failTimeout
	failInvalidHeader
	failNonIdempotent
	fail500
	fail502
	fail503
	fail504
	fail403
	fail404
	fail429
	failOff
	failUpdating // of the cache, which is not there; nginx takes it
	failNoLive   // there is no next server
	failFinal    // nor is one wanted
)

var nextUpstreamNames = map[string]uint{
	"error": failError, "timeout": failTimeout, "invalid_header": failInvalidHeader, "non_idempotent": failNonIdempotent,
	"http_500": fail500, "http_502": fail502, "http_503": fail503, "http_504": fail504, "http_403": fail403, "http_404": fail404,
	"http_429": fail429, "off": failOff, "updating": failUpdating,
}

// Headers of responses that can be ignored.
const (
	ignoreAccelRedirect uint = 1 << iota
	ignoreAccelBuffering
	ignoreAccelLimitRate
	ignoreAccelCharset
	ignoreOther // without a meaning here, or without caching
)

var ignoreHeaderNames = map[string]uint{
	"x-accel-redirect": ignoreAccelRedirect, "x-accel-buffering": ignoreAccelBuffering, "x-accel-expires": ignoreOther,
	"x-accel-limit-rate": ignoreAccelLimitRate, "x-accel-charset": ignoreAccelCharset, "expires": ignoreOther, "cache-control": ignoreOther,
	"set-cookie": ignoreOther, "vary": ignoreOther,
}

// proxyModule has proxy_pass and its like.
var proxyModule = &conf.Module{
	Name:      "http_proxy",
	Kind:      conf.HTTPKind,
	CreateLoc: func(*conf.Conf) any { return &proxyConf{} },
}

func proxyConfOf(r *Request) *proxyConf { return r.LocCtx[proxyModule.Index].(*proxyConf) }

func init() {
	proxyModule.MergeLoc = mergeProxy
	proxyModule.Preconfiguration = func(cf *conf.Conf) error { return addVariables(cf, proxyPassVariables) }
	proxyModule.Commands = append(proxyCommands(), proxyBufferCommands()...)
}

func proxyCommands() []conf.Command {
	msec := func(f func(*proxyConf) *conf.Setting[time.Duration]) func(*conf.Conf, any) error {
		return conf.SetMsec(f)
	}
	flag := func(f func(*proxyConf) *conf.Setting[bool]) func(*conf.Conf, any) error { return conf.SetFlag(f) }
	return []conf.Command{
		{Name: "proxy_pass", Ctx: conf.Location | conf.LocationIf | conf.LimitExcept, Args: conf.Take1, Level: conf.LocConf, Set: setProxyPass,
			Doc: "Passes requests on to a server or an upstream group: http://host:port, http://group or http://unix:path, with a URI that replaces the location's part, or with variables."},
		loc("proxy_set_header", conf.Take2, setProxyHeader,
			"A header of requests to upstreams; an empty value leaves it out. Host $proxy_host and Connection close by default."),
		loc("proxy_set_body", conf.Take1, setScript(func(c *proxyConf) *conf.Setting[*Script] { return &c.body }),
			"Replaces the body of requests to upstreams."),
		loc("proxy_method", conf.Take1, setScript(func(c *proxyConf) *conf.Setting[*Script] { return &c.method }),
			"The method of requests to upstreams, instead of the client's."),
		loc("proxy_http_version", conf.Take1, conf.SetEnum(func(c *proxyConf) *conf.Setting[int] { return &c.version }, map[string]int{"1.0": 1000, "1.1": 1001}),
			"The version of HTTP that upstreams are spoken to in, 1.0 or 1.1; 1.0 by default."),
		loc("proxy_pass_request_headers", conf.Flag, flag(func(c *proxyConf) *conf.Setting[bool] { return &c.passHeaders }),
			"Whether the client's headers are passed on; on by default."),
		loc("proxy_pass_request_body", conf.Flag, flag(func(c *proxyConf) *conf.Setting[bool] { return &c.passBody }),
			"Whether the client's body is passed on; on by default."),
		loc("proxy_redirect", conf.Take12, setProxyRedirect,
			"Rewrites the URLs of Location and Refresh: what they begin with, or ~ and ~* regular expressions; default and off."),
		loc("proxy_cookie_domain", conf.Take12, setProxyCookie(func(c *proxyConf) *conf.Setting[[]*proxyRewrite] { return &c.cookieDomains }, true),
			"Rewrites the domains of cookies: a name, or ~ and a regular expression; off."),
		loc("proxy_cookie_path", conf.Take12, setProxyCookie(func(c *proxyConf) *conf.Setting[[]*proxyRewrite] { return &c.cookiePaths }, false),
			"Rewrites the paths of cookies: what they begin with, or ~ and ~* regular expressions; off."),
		loc("proxy_cookie_flags", conf.OneMore, setCookieFlags,
			"Sets and takes away flags of cookies: a name, or ~ and a regular expression, and secure, httponly, samesite=strict, lax or none, nosecure, nohttponly, nosamesite; off."),
		loc("proxy_hide_header", conf.Take1, appendName(func(c *proxyConf) *[]string { return &c.hide }),
			"A header of responses that the client does not get."),
		loc("proxy_pass_header", conf.Take1, appendName(func(c *proxyConf) *[]string { return &c.show }),
			"A header that the client gets although it is hidden by default: Date, Server, X-Pad, X-Accel-…."),
		loc("proxy_ignore_headers", conf.OneMore, conf.SetBits(func(c *proxyConf) *conf.Setting[uint] { return &c.ignore }, ignoreHeaderNames),
			"Headers of responses that are not acted on: X-Accel-Redirect, X-Accel-Buffering, X-Accel-Limit-Rate, X-Accel-Charset; X-Accel-Expires and other ones have no effect here anyway: nothing is cached."),
		loc("proxy_intercept_errors", conf.Flag, flag(func(c *proxyConf) *conf.Setting[bool] { return &c.interceptErrors }),
			"Whether error_page works for responses of upstreams; off by default."),
		loc("proxy_ignore_client_abort", conf.Flag, flag(func(c *proxyConf) *conf.Setting[bool] { return &c.ignoreAbort }),
			"Whether a request goes on when its client has closed the connection; off by default."),
		loc("proxy_socket_keepalive", conf.Flag, flag(func(c *proxyConf) *conf.Setting[bool] { return &c.socketKeepalive }),
			"Whether connections to upstreams get SO_KEEPALIVE; off by default."),
		loc("proxy_bind", conf.Take12, setProxyBind,
			"The local address of connections to upstreams, which may have a port and variables, or off; with transparent it may be no address of this machine."),
		loc("proxy_connect_timeout", conf.Take1, msec(func(c *proxyConf) *conf.Setting[time.Duration] { return &c.connectTimeout }),
			"How long connecting may take; 60s by default."),
		loc("proxy_send_timeout", conf.Take1, msec(func(c *proxyConf) *conf.Setting[time.Duration] { return &c.sendTimeout }),
			"How long to wait between two writes to an upstream; 60s by default."),
		loc("proxy_read_timeout", conf.Take1, msec(func(c *proxyConf) *conf.Setting[time.Duration] { return &c.readTimeout }),
			"How long to wait between two reads from an upstream; 60s by default."),
		loc("proxy_next_upstream", conf.OneMore, conf.SetBits(func(c *proxyConf) *conf.Setting[uint] { return &c.next }, nextUpstreamNames),
			"When the next server is asked: error, timeout, invalid_header, http_500 and other statuses, non_idempotent, off; error timeout by default."),
		loc("proxy_next_upstream_tries", conf.Take1, conf.SetNum(func(c *proxyConf) *conf.Setting[int] { return &c.nextTries }),
			"How many servers are asked at most; 0, the default, is no limit."),
		loc("proxy_next_upstream_timeout", conf.Take1, msec(func(c *proxyConf) *conf.Setting[time.Duration] { return &c.nextTimeout }),
			"For how long further servers are asked; 0, the default, is no limit."),
	}
}

func proxyBufferCommands() []conf.Command {
	return []conf.Command{
		loc("proxy_buffering", conf.Flag, conf.SetFlag(func(c *proxyConf) *conf.Setting[bool] { return &c.buffering }),
			"Whether a response is read ahead of a slow client, as far as proxy_buffers goes; if not each piece is sent at once. X-Accel-Buffering decides, too. On by default."),
		loc("proxy_request_buffering", conf.Flag, conf.SetFlag(func(c *proxyConf) *conf.Setting[bool] { return &c.requestBuf }),
			"Whether the client's body is read before the request is passed on; if not the next server cannot be asked once a part of it has been sent. A chunked body needs proxy_http_version 1.1 for that. On by default."),
		loc("proxy_force_ranges", conf.Flag, conf.SetFlag(func(c *proxyConf) *conf.Setting[bool] { return &c.forceRanges }),
			"Whether clients get byte ranges of responses whatever their Accept-Ranges says; off by default."),
		loc("proxy_send_lowat", conf.Take1, setProxySendLowat,
			"Not supported by Linux, as nginx says, too: it warns."),
		loc("proxy_buffer_size", conf.Take1, conf.SetSize(func(c *proxyConf) *conf.Setting[int64] { return &c.bufferSize }),
			"Size of the buffer for the header of a response, which must fit into it; a page by default."),
		loc("proxy_buffers", conf.Take2, conf.SetBufs(func(c *proxyConf) *conf.Setting[conf.Bufs] { return &c.buffers }),
			"Number and size of the buffers for a response; together they are what is read ahead. 8 of a page by default."),
		loc("proxy_busy_buffers_size", conf.Take1, conf.SetSize(func(c *proxyConf) *conf.Setting[int64] { return &c.busySize }),
			"How much of the buffers is sent to the client at a time, while the rest is there for reading; half of them by default, and at most."),
		loc("proxy_temp_path", conf.Take1234, setProxyTempPath,
			"Directory for temporary files, and the digits of up to three levels of directories in it; proxy_temp 1 2 by default. It is made at start. A file there has what an upstream sends, beyond proxy_buffers, while the client is slow."),
		loc("proxy_max_temp_file_size", conf.Take1, conf.SetSize(func(c *proxyConf) *conf.Setting[int64] { return &c.maxTempSize }),
			"How much of a response may be in its temporary file before the upstream has to wait; 1g by default, 0 is no file."),
		loc("proxy_temp_file_write_size", conf.Take1, conf.SetSize(func(c *proxyConf) *conf.Setting[int64] { return &c.tempWriteSize }),
			"How much is written to a temporary file at a time; two buffers by default."),
		loc("proxy_limit_rate", conf.Take1, setSizeValue(func(c *proxyConf) *conf.Setting[*sizeValue] { return &c.limitRate }),
			"How many bytes a second are read from an upstream, with buffering; it may have variables. 0, the default, is no limit."),
		loc("proxy_pass_trailers", conf.Flag, conf.SetFlag(func(c *proxyConf) *conf.Setting[bool] { return &c.passTrailers }),
			"Whether the client gets the trailers of chunked responses; off by default."),
		loc("proxy_headers_hash_max_size", conf.Take1, conf.SetNum(func(c *proxyConf) *conf.Setting[int] { return &c.hashMaxSize }),
			"Checked and otherwise without effect: the tables of headers have no limit."),
		loc("proxy_headers_hash_bucket_size", conf.Take1, conf.SetNum(func(c *proxyConf) *conf.Setting[int] { return &c.hashBucketSize }),
			"Checked and otherwise without effect."),
	}
}

func appendName(f func(*proxyConf) *[]string) func(*conf.Conf, any) error {
	return func(cf *conf.Conf, c any) error {
		list := f(c.(*proxyConf))
		*list = append(*list, cf.Args[1])
		return nil
	}
}

func setProxySendLowat(cf *conf.Conf, c any) error {
	err := conf.SetSize(func(c *proxyConf) *conf.Setting[int64] { return &c.sendLowat })(cf, c)
	if err == nil {
		cf.Warnf("\"proxy_send_lowat\" is not supported, ignored")
	}
	return err
}

func setProxyTempPath(cf *conf.Conf, c any) error {
	pc := c.(*proxyConf)
	if pc.tempPath.IsSet {
		return conf.ErrDuplicate
	}
	t, err := parseTempPath(cf)
	if err == nil {
		pc.tempPath.Set(t)
	}
	return err
}

// hiddenByDefault are the headers that a client does not get.
var hiddenByDefault = []string{"Date", "Server", "X-Pad", "X-Accel-Expires", "X-Accel-Redirect", "X-Accel-Limit-Rate", "X-Accel-Buffering", "X-Accel-Charset"}

func mergeProxy(cf *conf.Conf, prev, c any) error {
	p, pc := prev.(*proxyConf), c.(*proxyConf)
	pc.mergeSettings(cf, p)
	if err := pc.mergeBuffers(p); err != nil {
		return err
	}
	pc.mergeRedirects(p)
	pc.mergeHidden(p)
	lc := locConfOf(cf)
	if lc.If && pc.pass == nil {
		pc.pass = p.pass
	}
	if lc.exception && lc.Handler == nil && pc.pass != nil {
		lc.Handler = proxyHandler
	}
	if pc.sets == nil {
		pc.sets = p.sets
	}
	return pc.addDefaultHeaders(cf)
}

func (pc *proxyConf) mergeSettings(cf *conf.Conf, p *proxyConf) {
	pc.method.Merge(p.method, nil)
	pc.body.Merge(p.body, nil)
	pc.version.Merge(p.version, 1000)
	pc.cookieDomains.Merge(p.cookieDomains, nil)
	pc.cookiePaths.Merge(p.cookiePaths, nil)
	pc.buffering.Merge(p.buffering, true)
	pc.passHeaders.Merge(p.passHeaders, true)
	pc.passBody.Merge(p.passBody, true)
	pc.ignoreAbort.Merge(p.ignoreAbort, false)
	pc.interceptErrors.Merge(p.interceptErrors, false)
	pc.socketKeepalive.Merge(p.socketKeepalive, false)
	pc.connectTimeout.Merge(p.connectTimeout, 60*time.Second)
	pc.sendTimeout.Merge(p.sendTimeout, 60*time.Second)
	pc.readTimeout.Merge(p.readTimeout, 60*time.Second)
	pc.nextTimeout.Merge(p.nextTimeout, 0)
	pc.nextTries.Merge(p.nextTries, 0)
	pc.next.Merge(p.next, failError|failTimeout)
	if pc.next.V&failOff != 0 {
		pc.next.V = failOff
	}
	pc.ignore.Merge(p.ignore, 0)
	pc.cookieFlags.Merge(p.cookieFlags, nil)
	pc.forceRanges.Merge(p.forceRanges, false)
	pc.requestBuf.Merge(p.requestBuf, true)
	pc.bind.Merge(p.bind, nil)
	pc.limitRate.Merge(p.limitRate, &sizeValue{})
	pc.passTrailers.Merge(p.passTrailers, false)
	pc.tempPath.Merge(p.tempPath, TempPath{Dir: cf.Cycle.FullName("proxy_temp"), Levels: []int{1, 2}})
	pc.hashMaxSize.Merge(p.hashMaxSize, 512)
	pc.hashBucketSize.Merge(p.hashBucketSize, 64)
}

const busyTooSmall = "\"%s\" must be equal to or greater than the maximum of the value of \"proxy_buffer_size\" and one of the \"proxy_buffers\""

func (pc *proxyConf) mergeBuffers(p *proxyConf) error {
	page := int64(os.Getpagesize())
	pc.bufferSize.Merge(p.bufferSize, page)
	pc.buffers.Merge(p.buffers, conf.Bufs{Num: 8, Size: page})
	bufs := pc.buffers.V
	if bufs.Num < 2 {
		return conf.Errorf("there must be at least 2 \"proxy_buffers\"")
	}
	size := max(pc.bufferSize.V, bufs.Size)
	merge := func(s *conf.Setting[int64], prev conf.Setting[int64], def int64) int64 {
		if prev.IsSet && !s.IsSet {
			*s = prev
		}
		if !s.IsSet {
			s.V = def // which a block inside takes anew from its own buffers
		}
		return s.V
	}
	busy := merge(&pc.busySize, p.busySize, 2*size)
	if busy < size {
		return conf.Errorf(busyTooSmall, "proxy_busy_buffers_size")
	}
	if busy > int64(bufs.Num-1)*bufs.Size {
		return conf.Errorf("\"proxy_busy_buffers_size\" must be less than the size of all \"proxy_buffers\" minus one buffer")
	}
	if merge(&pc.tempWriteSize, p.tempWriteSize, 2*size) < size {
		return conf.Errorf(busyTooSmall, "proxy_temp_file_write_size")
	}
	if most := merge(&pc.maxTempSize, p.maxTempSize, 1<<30); most != 0 && most < size {
		return conf.Errorf("\"proxy_max_temp_file_size\" must be equal to zero to disable temporary files usage or must be equal to or greater than " +
			"the maximum of the value of \"proxy_buffer_size\" and one of the \"proxy_buffers\"")
	}
	return nil
}

func (pc *proxyConf) mergeHidden(p *proxyConf) {
	if pc.hide == nil {
		pc.hide = p.hide
	}
	if pc.show == nil {
		pc.show = p.show
	}
	pc.hidden = hiddenNames(hiddenByDefault, pc.hide, pc.show)
}

// hiddenNames are names that are hidden by default and others, less those that are shown.
func hiddenNames(byDefault, hide, show []string) (hidden nameSet) {
	var shown nameSet
	for _, name := range show {
		shown.add(name)
	}
	for _, list := range [][]string{byDefault, hide} {
		for _, name := range list {
			if !inSet(shown, name) && !inSet(hidden, name) {
				hidden.add(name)
			}
		}
	}
	return hidden
}

// TempDirs are the directories for temporary files of a block.
func TempDirs(ctx *conf.Ctx) []string {
	lc := ctx.Loc[CoreModule.Index].(*LocConf)
	return []string{lc.ClientBodyTempPath.V.Dir, ctx.Loc[proxyModule.Index].(*proxyConf).tempPath.V.Dir}
}
