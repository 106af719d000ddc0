package http

import (
	"math"
	"strings"

	"perilune/conf"
)

// sinceMode is the value of if_modified_since.
type sinceMode int

const (
	sinceExact sinceMode = iota
	sinceOff
	sinceBefore
)

// fileConf is what a location says about files: where they are, and how they are sent.
type fileConf struct {
	Root     *Script // nil: the default, or a constant in rootPath
	RootPath string  // without variables; absolute
	rootSet  bool
	Alias    int // length of the location's name that an alias replaces; 0: root
	aliasRE  bool

	Index           conf.Setting[[]*Script]
	Types           map[string]string
	ETag            conf.Setting[bool]
	IfModifiedSince conf.Setting[sinceMode]
	MaxRanges       conf.Setting[int]
	MSIEPadding     conf.Setting[bool]
	MSIERefresh     conf.Setting[bool]

	hashMaxSize, hashBucketSize conf.Setting[int] // only checked
}

// fileModule has the directives of files and of error pages.
var fileModule = &conf.Module{
	Name:      "http_static",
	Kind:      conf.HTTPKind,
	CreateLoc: func(*conf.Conf) any { return &fileConf{} },
	MergeLoc:  mergeFileConf,
}

// The table refers to functions that refer to the module.
func init() {
	loc := conf.HTTP | conf.Server | conf.Location
	fileModule.Postconfiguration = initFiles
	fileModule.Commands = []conf.Command{
		{Name: "root", Ctx: loc | conf.LocationIf, Args: conf.Take1, Level: conf.LocConf, Set: setRoot,
			Doc: "Directory that files are served from."},
		{Name: "alias", Ctx: conf.Location, Args: conf.Take1, Level: conf.LocConf, Set: setRoot,
			Doc: "Path that replaces the location's part of the URI."},
		{Name: "index", Ctx: loc, Args: conf.OneMore, Level: conf.LocConf, Set: setIndex,
			Doc: "Files that stand for a directory."},
		{Name: "types", Ctx: loc, Args: conf.NoArgs | conf.Block, Level: conf.LocConf, Set: setTypes,
			Doc: "Content types by file name extension."},
		{Name: "types_hash_max_size", Ctx: loc, Args: conf.Take1, Level: conf.LocConf,
			Set: conf.SetNum(func(c *fileConf) *conf.Setting[int] { return &c.hashMaxSize }),
			Doc: "Checked and otherwise without effect: the table of types grows by itself."},
		{Name: "types_hash_bucket_size", Ctx: loc, Args: conf.Take1, Level: conf.LocConf,
			Set: conf.SetNum(func(c *fileConf) *conf.Setting[int] { return &c.hashBucketSize }),
			Doc: "Checked and otherwise without effect: the table of types grows by itself."},
		{Name: "etag", Ctx: loc, Args: conf.Flag, Level: conf.LocConf,
			Set: conf.SetFlag(func(c *fileConf) *conf.Setting[bool] { return &c.ETag }),
			Doc: "Makes ETag headers for files."},
		{Name: "if_modified_since", Ctx: loc, Args: conf.Take1, Level: conf.LocConf,
			Set: conf.SetEnum(func(c *fileConf) *conf.Setting[sinceMode] { return &c.IfModifiedSince },
				map[string]sinceMode{"off": sinceOff, "exact": sinceExact, "before": sinceBefore}),
			Doc: "How If-Modified-Since is compared with the time of a file."},
		{Name: "max_ranges", Ctx: loc, Args: conf.Take1, Level: conf.LocConf,
			Set: conf.SetNum(func(c *fileConf) *conf.Setting[int] { return &c.MaxRanges }),
			Doc: "Number of ranges allowed in a request; 0 turns ranges off."},
		{Name: "msie_padding", Ctx: loc, Args: conf.Flag, Level: conf.LocConf,
			Set: conf.SetFlag(func(c *fileConf) *conf.Setting[bool] { return &c.MSIEPadding }),
			Doc: "Pads error pages for MSIE and Chrome."},
		{Name: "msie_refresh", Ctx: loc, Args: conf.Flag, Level: conf.LocConf,
			Set: conf.SetFlag(func(c *fileConf) *conf.Setting[bool] { return &c.MSIERefresh }),
			Doc: "Redirects MSIE by a page that refreshes itself instead of by 301 and 302; off by default."},
	}
}

func initFiles(cf *conf.Conf) error {
	main := mainConfOf(cf)
	for _, h := range []Handler{randomIndexHandler, indexHandler, autoindexHandler, davHandler, precompressedHandler, staticHandler} {
		main.AddHandler(Content, h)
	}
	return nil
}

func fileConfOf(r *Request) *fileConf { return r.LocCtx[fileModule.Index].(*fileConf) }

func mergeFileConf(cf *conf.Conf, prev, c any) error {
	p, fc := prev.(*fileConf), c.(*fileConf)
	if !fc.rootSet {
		fc.Root, fc.RootPath, fc.rootSet = p.Root, p.RootPath, p.rootSet
		fc.Alias, fc.aliasRE = p.Alias, p.aliasRE
		if !fc.rootSet {
			fc.RootPath, fc.rootSet = cf.Cycle.FullName("html"), true
		}
	}
	if fc.Types == nil {
		fc.Types = p.Types
		if fc.Types == nil {
			fc.Types = defaultTypes
		}
	}
	index, err := CompileScript(cf, "index.html")
	if err != nil {
		return err
	}
	fc.Index.Merge(p.Index, []*Script{index})
	fc.ETag.Merge(p.ETag, true)
	fc.IfModifiedSince.Merge(p.IfModifiedSince, sinceExact)
	fc.MaxRanges.Merge(p.MaxRanges, math.MaxInt32)
	fc.MSIEPadding.Merge(p.MSIEPadding, true)
	fc.MSIERefresh.Merge(p.MSIERefresh, false)
	return nil
}

// setRoot handles root and alias.
func setRoot(cf *conf.Conf, c any) error {
	fc := c.(*fileConf)
	name, path := cf.Args[0], cf.Args[1]
	loc := locConfOf(cf)
	alias := name == "alias"
	if fc.rootSet {
		if (fc.Alias != 0 || fc.aliasRE) == alias {
			return conf.ErrDuplicate
		}
		other := "root"
		if !alias {
			other = "alias"
		}
		return conf.Errorf("\"%s\" directive is duplicate, \"%s\" directive was specified earlier", name, other)
	}
	if alias && loc.Named {
		return conf.Errorf("the \"alias\" directive cannot be used inside the named location")
	}
	for _, v := range []string{"document_root", "realpath_root"} {
		if strings.Contains(path, "$"+v) || strings.Contains(path, "${"+v+"}") {
			return conf.Errorf("the $%s variable cannot be used in the \"%s\" directive", v, name)
		}
	}
	if !alias {
		path = strings.TrimSuffix(path, "/")
	}
	if !strings.HasPrefix(path, "$") {
		path = cf.Cycle.FullName(path)
	}
	fc.rootSet = true
	fc.RootPath = path
	if alias {
		fc.Alias = len(loc.Name)
		fc.aliasRE = loc.Regex != nil
	}
	if HasVariables(path) || fc.aliasRE {
		var err error
		if fc.Root, err = CompileScript(cf, path); err != nil {
			return err
		}
	}
	return nil
}

// setIndex handles index.
func setIndex(cf *conf.Conf, c any) error {
	fc := c.(*fileConf)
	for i, name := range cf.Args[1:] {
		if name == "" {
			return conf.Errorf("index \"%s\" in \"index\" directive is invalid", name)
		}
		if strings.HasPrefix(name, "/") && i+2 != len(cf.Args) {
			cf.Warnf("only the last index in \"index\" directive should be absolute")
		}
		s, err := CompileScript(cf, name)
		if err != nil {
			return err
		}
		fc.Index.Set(append(fc.Index.V, s))
	}
	return nil
}
