package http

import (
	"os"
	"slices"
	"strconv"
	"time"

	"perilune/conf"
)

// srcacheConf is the srcache module's struct of a location: responses are kept where its subrequests put them.
type srcacheConf struct {
	fetch, store         *srcacheRequest
	fetchSkip, storeSkip conf.Setting[*Script]
	statuses             []int // nil: 200 and redirects
	methods              conf.Setting[uint]

	requestControl, responseControl conf.Setting[bool]
	storePrivate, storeNoStore      conf.Setting[bool]
	storeNoCache, storeRanges       conf.Setting[bool]
	ignoreEncoding                  conf.Setting[bool]

	maxSize, headerSize, bufferSize conf.Setting[int64]
	maxExpire, defaultExpire        conf.Setting[time.Duration]

	hide, show []string
	hidden     nameSet // headers that are not stored
}

// srcacheRequest is a subrequest, as it is configured.
type srcacheRequest struct {
	method     Method
	name       string
	uri, query *Script // query nil: what follows the URI's question mark
}

// srcacheMain is the module's struct of the http block.
type srcacheMain struct{ used bool }

var srcacheModule = &conf.Module{
	Name:       "http_srcache",
	Kind:       conf.HTTPKind,
	CreateMain: func(*conf.Conf) any { return &srcacheMain{} },
	CreateLoc:  func(*conf.Conf) any { return &srcacheConf{} },
}

var srcacheHidden = []string{"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "TE", "Trailers", "Transfer-Encoding", "Upgrade", "Set-Cookie"}

func init() {
	srcacheModule.MergeLoc = mergeSrcache
	srcacheModule.Postconfiguration = func(cf *conf.Conf) error {
		if err := addVariables(cf, srcacheVariables); err != nil {
			return err
		}
		if cf.Ctx.Main[srcacheModule.Index].(*srcacheMain).used {
			m := mainConfOf(cf)
			m.lastAccess = srcacheHandler
			m.AddHeaderFilter(srcacheHeaderFilter)
			m.AddBodyFilter(srcacheBodyFilter)
		}
		return nil
	}
	srcacheModule.Commands = append(srcacheRequestCommands(), srcacheStoreCommands()...)
}

// locIf is loc for directives that may stand in an if block of a location, too.
func locIf(name string, args conf.Args, set func(*conf.Conf, any) error, doc string) conf.Command {
	c := loc(name, args, set, doc)
	c.Ctx |= conf.LocationIf
	return c
}

func srcacheRequestCommands() []conf.Command {
	return []conf.Command{
		locIf("srcache_fetch", conf.Take23, setSrcacheRequest(func(c *srcacheConf) **srcacheRequest { return &c.fetch }),
			"A subrequest (method, URI, arguments) whose response, if its status is 200, has the whole answer to the request."),
		locIf("srcache_store", conf.Take23, setSrcacheRequest(func(c *srcacheConf) **srcacheRequest { return &c.store }),
			"A subrequest (method, URI, arguments) that gets the answer to the request as its body, to keep it for srcache_fetch."),
		locIf("srcache_fetch_skip", conf.Take1, setScript(func(c *srcacheConf) *conf.Setting[*Script] { return &c.fetchSkip }),
			"A text; unless it is empty or 0 srcache_fetch is left out."),
		locIf("srcache_store_skip", conf.Take1, setScript(func(c *srcacheConf) *conf.Setting[*Script] { return &c.storeSkip }),
			"A text; unless it is empty or 0 srcache_store is left out."),
		loc("srcache_methods", conf.OneMore, conf.SetBits(func(c *srcacheConf) *conf.Setting[uint] { return &c.methods },
			map[string]uint{"get": uint(MethodGet), "head": uint(MethodHead), "post": uint(MethodPost), "put": uint(MethodPut), "delete": uint(MethodDelete)}),
			"Methods that the cache is for, besides GET and HEAD."),
		loc("srcache_request_cache_control", conf.Flag, conf.SetFlag(func(c *srcacheConf) *conf.Setting[bool] { return &c.requestControl }),
			"Whether Cache-Control and Pragma of requests are heeded; off by default."),
		locIf("srcache_buffer", conf.Take1, conf.SetSize(func(c *srcacheConf) *conf.Setting[int64] { return &c.bufferSize }),
			"Checked and otherwise without effect: buffers have the size that they need."),
		locIf("srcache_header_buffer_size", conf.Take1, conf.SetSize(func(c *srcacheConf) *conf.Setting[int64] { return &c.headerSize }),
			"How long a header of a stored response may be; a page by default."),
	}
}

func srcacheStoreCommands() []conf.Command {
	flag := func(f func(*srcacheConf) *conf.Setting[bool]) func(*conf.Conf, any) error { return conf.SetFlag(f) }
	return []conf.Command{
		locIf("srcache_store_statuses", conf.OneMore, setSrcacheStatuses, "Statuses of responses that are stored; 200, 301, 302, 307 and 308 by default."),
		locIf("srcache_store_max_size", conf.Take1, conf.SetSize(func(c *srcacheConf) *conf.Setting[int64] { return &c.maxSize }),
			"How long a response that is stored may be; 0, the default, is no limit."),
		loc("srcache_response_cache_control", conf.Flag, flag(func(c *srcacheConf) *conf.Setting[bool] { return &c.responseControl }),
			"Whether Cache-Control and Expires of responses are heeded; on by default."),
		loc("srcache_store_private", conf.Flag, flag(func(c *srcacheConf) *conf.Setting[bool] { return &c.storePrivate }),
			"Whether responses with Cache-Control: private are stored; off by default."),
		loc("srcache_store_no_store", conf.Flag, flag(func(c *srcacheConf) *conf.Setting[bool] { return &c.storeNoStore }),
			"Whether responses with Cache-Control: no-store are stored; off by default."),
		loc("srcache_store_no_cache", conf.Flag, flag(func(c *srcacheConf) *conf.Setting[bool] { return &c.storeNoCache }),
			"Whether responses with Cache-Control: no-cache are stored; off by default."),
		loc("srcache_store_ranges", conf.Flag, flag(func(c *srcacheConf) *conf.Setting[bool] { return &c.storeRanges }),
			"Whether parts of responses are stored, for which the key must have $http_range in it; off by default."),
		loc("srcache_ignore_content_encoding", conf.Flag, flag(func(c *srcacheConf) *conf.Setting[bool] { return &c.ignoreEncoding }),
			"Whether responses with Content-Encoding are stored; off by default."),
		loc("srcache_store_hide_header", conf.Take1, appendSrcacheName(func(c *srcacheConf) *[]string { return &c.hide }),
			"A header that is not stored."),
		loc("srcache_store_pass_header", conf.Take1, appendSrcacheName(func(c *srcacheConf) *[]string { return &c.show }),
			"A header that is stored although it is not by default: Set-Cookie, Connection and others."),
		locIf("srcache_max_expire", conf.Take1, conf.SetSec(func(c *srcacheConf) *conf.Setting[time.Duration] { return &c.maxExpire }),
			"The most that $srcache_expire may be; 0, the default, is no limit."),
		locIf("srcache_default_expire", conf.Take1, conf.SetSec(func(c *srcacheConf) *conf.Setting[time.Duration] { return &c.defaultExpire }),
			"$srcache_expire of responses that do not say how long they are good; 60s by default."),
	}
}

func appendSrcacheName(f func(*srcacheConf) *[]string) func(*conf.Conf, any) error {
	return func(cf *conf.Conf, c any) error {
		list := f(c.(*srcacheConf))
		*list = append(*list, cf.Args[1])
		return nil
	}
}

func setSrcacheRequest(f func(*srcacheConf) **srcacheRequest) func(*conf.Conf, any) error {
	return func(cf *conf.Conf, c any) error {
		p := f(c.(*srcacheConf))
		if *p != nil {
			return conf.ErrDuplicate
		}
		cf.Ctx.Main[srcacheModule.Index].(*srcacheMain).used = true
		q := &srcacheRequest{method: ParseMethod([]byte(cf.Args[1])), name: cf.Args[1]}
		if q.method == MethodUnknown {
			return conf.Errorf("%s specifies bad HTTP method %s", cf.Args[0], cf.Args[1])
		}
		var err error
		if q.uri, err = CompileScript(cf, cf.Args[2]); err != nil {
			return err
		}
		if len(cf.Args) == 4 {
			q.query, err = CompileScript(cf, cf.Args[3])
		}
		*p = q
		return err
	}
}

func setSrcacheStatuses(cf *conf.Conf, c any) error {
	sc := c.(*srcacheConf)
	if sc.statuses != nil {
		return conf.ErrDuplicate
	}
	for _, text := range cf.Args[1:] {
		n, err := conf.ParseNum(text)
		if err != nil {
			return conf.Errorf("status code \"%s\" is an invalid number", text)
		}
		sc.statuses = append(sc.statuses, n)
	}
	return nil
}

func mergeSrcache(_ *conf.Conf, prev, c any) error {
	p, sc := prev.(*srcacheConf), c.(*srcacheConf)
	if sc.fetch == nil {
		sc.fetch = p.fetch
	}
	if sc.store == nil {
		sc.store = p.store
	}
	if sc.statuses == nil {
		sc.statuses = p.statuses
	}
	sc.fetchSkip.Merge(p.fetchSkip, nil)
	sc.storeSkip.Merge(p.storeSkip, nil)
	sc.methods.Merge(p.methods, 0)
	sc.methods.V |= uint(MethodGet | MethodHead)
	sc.requestControl.Merge(p.requestControl, false)
	sc.responseControl.Merge(p.responseControl, true)
	sc.storePrivate.Merge(p.storePrivate, false)
	sc.storeNoStore.Merge(p.storeNoStore, false)
	sc.storeNoCache.Merge(p.storeNoCache, false)
	sc.storeRanges.Merge(p.storeRanges, false)
	sc.ignoreEncoding.Merge(p.ignoreEncoding, false)
	sc.maxSize.Merge(p.maxSize, 0)
	sc.headerSize.Merge(p.headerSize, int64(os.Getpagesize()))
	sc.maxExpire.Merge(p.maxExpire, 0)
	sc.defaultExpire.Merge(p.defaultExpire, time.Minute)
	if sc.hide == nil {
		sc.hide = p.hide
	}
	if sc.show == nil {
		sc.show = p.show
	}
	sc.hidden = hiddenNames(srcacheHidden, sc.hide, sc.show)
	return nil
}

// stores reports whether responses of a status are stored.
func (sc *srcacheConf) stores(status int) bool {
	if sc.statuses != nil {
		return slices.Contains(sc.statuses, status)
	}
	switch status {
	case 200, 301, 302, 307, 308:
		return true
	}
	return false
}

// skips evaluates srcache_fetch_skip or srcache_store_skip.
func skips(r *Request, s *Script) bool {
	if s == nil {
		return false
	}
	text := s.AppendTo(r, nil)
	return len(text) > 0 && string(text) != "0"
}

// target is the URI and the arguments of a subrequest; not ok if there is none, or one that leads out of the site.
func (q *srcacheRequest) target(r *Request) (uri, args []byte, ok bool) {
	text := q.uri.AppendTo(r, nil)
	if q.query != nil {
		args = q.query.AppendTo(r, nil)
	}
	if len(text) == 0 {
		return nil, nil, false
	}
	_, own := splitArgs(text)
	if len(args) == 0 {
		args = own
	}
	uri, ok = SafePath(text)
	return uri, args, ok && len(uri) > 0
}

var srcacheVariables = []Variable{
	{Name: "srcache_expire", Get: srcacheExpire, Doc: "for how many seconds a response is stored"},
	{Name: "srcache_fetch_status", Get: func(r *Request, dst []byte, _ string) ([]byte, bool) {
		switch x := srcacheCtxOf(r); {
		case x == nil || !x.asked:
			return append(dst, "BYPASS"...), true
		case x.hit:
			return append(dst, "HIT"...), true
		}
		return append(dst, "MISS"...), true
	}, Doc: "what has become of srcache_fetch: HIT, MISS or BYPASS"},
	{Name: "srcache_store_status", Get: func(r *Request, dst []byte, _ string) ([]byte, bool) {
		if x := srcacheCtxOf(r); x != nil && x.storing {
			return append(dst, "STORE"...), true
		}
		return append(dst, "BYPASS"...), true
	}, Doc: "what has become of srcache_store: STORE or BYPASS"},
}

func srcacheExpire(r *Request, dst []byte, _ string) ([]byte, bool) {
	x := srcacheCtxOf(r)
	if x == nil || !x.storing {
		return dst, false
	}
	sc := srcacheConfOf(r)
	sec := int64(sc.defaultExpire.V / time.Second)
	if x.validUntil != 0 {
		sec = x.validUntil - r.Loop().Now().Unix()
	}
	if most := int64(sc.maxExpire.V / time.Second); most > 0 {
		sec = min(sec, most)
	}
	return strconv.AppendInt(dst, sec, 10), true
}

func srcacheConfOf(r *Request) *srcacheConf { return r.LocCtx[srcacheModule.Index].(*srcacheConf) }
