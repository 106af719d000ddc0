package http

import (
	"strconv"
	"strings"

	"perilune/conf"
)

// errorPage is what error_page says about one status.
type errorPage struct {
	status    int
	overwrite int // status of the response; 0: what the page itself has, -1: that of the error
	target    *Script
	uri, args []byte // of a target without variables, not nil
}

// pagesConf is the struct of a location for error_page and try_files.
type pagesConf struct {
	pages     []errorPage
	recursive conf.Setting[bool]
	try       []tryFile
	fallback  *tryFile
}

// tryFile is an argument of try_files.
type tryFile struct {
	name  *Script
	fixed bool // no variables
	dir   bool
	code  int // of "=code"
}

var pagesModule = &conf.Module{
	Name:      "http_pages",
	Kind:      conf.HTTPKind,
	CreateLoc: func(*conf.Conf) any { return &pagesConf{} },
	MergeLoc: func(_ *conf.Conf, prev, c any) error {
		p, pc := prev.(*pagesConf), c.(*pagesConf)
		if pc.pages == nil {
			pc.pages = p.pages
		}
		pc.recursive.Merge(p.recursive, false)
		return nil
	},
}

func init() {
	pagesModule.Postconfiguration = func(cf *conf.Conf) error {
		mainConfOf(cf).AddHandler(Precontent, tryFilesHandler)
		return nil
	}
	loc := conf.HTTP | conf.Server | conf.Location
	pagesModule.Commands = []conf.Command{
		{Name: "error_page", Ctx: loc | conf.LocationIf, Args: conf.TwoMore, Level: conf.LocConf, Set: setErrorPage,
			Doc: "What is sent for statuses: a URI, a named location or a URL; `=` or `=code` changes the status."},
		{Name: "recursive_error_pages", Ctx: loc, Args: conf.Flag, Level: conf.LocConf,
			Set: conf.SetFlag(func(c *pagesConf) *conf.Setting[bool] { return &c.recursive }),
			Doc: "Whether error_page works for what error_page has led to; off by default."},
		{Name: "try_files", Ctx: conf.Server | conf.Location, Args: conf.TwoMore, Level: conf.LocConf, Set: setTryFiles,
			Doc: "The first of these files, or directories with a slash at the end, that exists is served; the last argument is a URI, a named location or =code."},
	}
}

func setErrorPage(cf *conf.Conf, c any) error {
	pc := c.(*pagesConf)
	last := len(cf.Args) - 1
	codes := cf.Args[1:last]
	overwrite := -1
	if option := codes[len(codes)-1]; strings.HasPrefix(option, "=") {
		if len(codes) == 1 {
			return conf.Errorf("invalid value \"%s\"", option)
		}
		codes = codes[:len(codes)-1]
		overwrite = 0
		if len(option) > 1 {
			n, err := conf.ParseNum(option[1:])
			if err != nil {
				return conf.Errorf("invalid value \"%s\"", option)
			}
			overwrite = n
		}
	}
	page := errorPage{overwrite: overwrite}
	var err error
	if page.target, err = CompileScript(cf, cf.Args[last]); err != nil {
		return err
	}
	if !HasVariables(cf.Args[last]) {
		uri, args := cf.Args[last], ""
		if strings.HasPrefix(uri, "/") {
			uri, args, _ = strings.Cut(uri, "?")
		}
		page.uri, page.args = []byte(uri), []byte(args)
	}
	for _, code := range codes {
		p := page
		n, err := conf.ParseNum(code)
		switch {
		case err != nil || n == 499:
			return conf.Errorf("invalid value \"%s\"", code)
		case n < 300 || n > 599:
			return conf.Errorf("value \"%s\" must be between 300 and 599", code)
		case p.overwrite == -1 && n >= 494 && n <= 497:
			p.overwrite = 400
		}
		p.status = n
		pc.pages = append(pc.pages, p)
	}
	return nil
}

// errorPageFor is the page that the location has for a status, nil if it has none or one has been sent already.
func (r *Request) errorPageFor(status int) *errorPage {
	pc := r.LocCtx[pagesModule.Index].(*pagesConf)
	if r.engine.errorPage || len(pc.pages) == 0 || r.engine.changes == 0 {
		return nil
	}
	r.engine.errorPage = !pc.recursive.V
	for i := range pc.pages {
		if pc.pages[i].status == status {
			return &pc.pages[i]
		}
	}
	return nil
}

// hasErrorPage reports whether the location names an error page for a status.
func (r *Request) hasErrorPage(status int) bool {
	for _, page := range r.LocCtx[pagesModule.Index].(*pagesConf).pages {
		if page.status == status {
			return true
		}
	}
	return false
}

// sendErrorPage starts the request over for an error page. With a redirect to a URL the answer is still to be sent, and
// the status for it comes back.
func (r *Request) sendErrorPage(p *errorPage) (rc, status int) {
	if p.overwrite != 0 && p.overwrite != 200 {
		r.engine.expectTested = true
	}
	if p.overwrite >= 0 {
		r.ErrStatus = p.overwrite
	}
	uri, args := p.uri, p.args
	if uri == nil {
		uri = r.view(p.target.AppendTo(r, nil))
		if len(uri) > 0 && uri[0] == '/' {
			uri, args = splitArgs(uri)
		}
	}
	switch {
	case len(uri) > 0 && uri[0] == '/':
		if r.MethodID != MethodHead {
			r.MethodID, r.Method = MethodGet, methodGET
		}
		return r.InternalRedirect(uri, args), 0
	case len(uri) > 0 && uri[0] == '@':
		return r.NamedLocation(uri), 0
	}
	switch p.overwrite {
	case 301, 302, 303, 307, 308:
	default:
		r.ErrStatus = 302
	}
	r.HeadersOut.Redirect(string(uri))
	return OK, r.ErrStatus
}

var methodGET = []byte("GET")

// splitArgs cuts a URI at its question mark.
func splitArgs(uri []byte) (path, args []byte) {
	for i, c := range uri {
		if c == '?' {
			return uri[:i:i], uri[i+1:]
		}
	}
	return uri, nil
}

// statusOfCode reads the number of "=code".
func statusOfCode(code string) (int, bool) {
	n, err := strconv.ParseUint(code, 10, 16)
	return int(n), err == nil && n <= 999
}
