package http

import (
	"os"
	"strings"

	"perilune/conf"
)

// Modules returns the modules of this package, in the order in which their
// handlers and filters come. Modules of other packages go behind them.
func Modules() []*conf.Module {
	return []*conf.Module{
		HTTPModule,
		CoreModule,
		variablesModule,
		logModule,
		rewriteModule,
		fileModule,
		pagesModule,
		mirrorModule,
		accessModule,
		authModule,
		authRequestModule,
		mapModule,
		smallModule,
		setMiscModule,
		autoindexModule,
		refererModule,
		secureLinkModule,
		davModule,
		realipModule,
		upstreamModule,
		proxyModule,
		memcachedModule,
		memcModule,
		limitReqModule,
		limitConnModule,

		// From here on in the order of their filters.
		rangeModule,
		gzipModule,
		brotliModule,
		zstdModule,
		postponeModule,
		charsetModule,
		additionModule,
		subModule,
		gunzipModule,
		useridModule,
		headersModule,
		echoModule,
		srcacheModule,
		moreModule,
		captureModule,
	}
}

// setHTTP handles http { … }.
func setHTTP(cf *conf.Conf, _ any) error {
	err := cf.HTTPBlock(buildLocations)
	if err != nil {
		return err
	}
	if err := resolveVariables(cf.Cycle.HTTP); err != nil {
		return err
	}
	http := cf.Cycle.HTTP
	// Again, for what modules behind variablesModule have asked for.
	if err := http.Main[variablesModule.Index].(*Variables).resolve(); err != nil {
		return err
	}
	main := http.Main[CoreModule.Index].(*MainConf)
	main.buildPhases()
	main.buildFilters()
	return main.buildListening(cf)
}

// setServer handles server { … }.
func setServer(cf *conf.Conf, _ any) error {
	main := mainConfOf(cf)
	ctx := cf.NewServer()
	s := ctx.Srv[CoreModule.Index].(*SrvConf)
	s.Ctx = ctx
	s.Loc = ctx.Loc[CoreModule.Index].(*LocConf)
	s.Loc.Ctx = ctx
	main.Servers = append(main.Servers, s)
	if err := cf.ParseBlock(conf.Server, ctx); err != nil {
		return err
	}
	if s.listens {
		return nil
	}
	port := 8000
	if os.Getuid() == 0 {
		port = 80
	}
	return main.addListen(s, wildcard4(port), newListenOptions())
}

// setLocation handles location … { … }.
func setLocation(cf *conf.Conf, c any) error {
	outer := c.(*LocConf)
	ctx := cf.NewLocation()
	l := ctx.Loc[CoreModule.Index].(*LocConf)
	l.Ctx = ctx
	if err := l.setName(cf); err != nil {
		return err
	}
	if outer != srvConfOf(cf).Loc {
		if err := l.checkNesting(outer); err != nil {
			return err
		}
	}
	file, line := cf.Pos()
	at := len(outer.locations)
	outer.locations = append(outer.locations, Location[*LocConf]{
		Kind: l.Kind, Name: l.Name, Regex: l.Regex, Conf: l, File: file, Line: line,
	})
	err := cf.ParseBlock(conf.Location, ctx)
	outer.locations[at].AutoRedirect = l.AutoRedirect
	return err
}

// setName takes the arguments of the location directive apart.
func (l *LocConf) setName(cf *conf.Conf) error {
	modifier, name := "", cf.Args[len(cf.Args)-1]
	if len(cf.Args) == 3 {
		modifier = cf.Args[1]
		if modifier == "" || strings.Trim(modifier, "=^~*") != "" {
			return conf.Errorf("invalid location modifier \"%s\"", modifier)
		}
	} else {
		for _, m := range []string{"=", "^~", "~*", "~"} {
			if strings.HasPrefix(name, m) {
				modifier, name = m, name[len(m):]
				break
			}
		}
	}
	l.Name = name
	switch modifier {
	case "":
		if strings.HasPrefix(name, "@") {
			l.Kind, l.Named = LocationNamed, true
		}
	case "=":
		l.Kind = LocationExact
	case "^~":
		l.Kind = LocationPrefixFinal
	case "~", "~*":
		l.Kind = LocationRegex
		re, err := BindRegex(cf, name, modifier == "~*")
		if err != nil {
			return err
		}
		l.Regex = re
	default:
		return conf.Errorf("invalid location modifier \"%s\"", modifier)
	}
	return nil
}

// checkNesting checks a location within another.
func (l *LocConf) checkNesting(outer *LocConf) error {
	switch {
	case outer.Kind == LocationExact:
		return conf.Errorf("location \"%s\" cannot be inside the exact location \"%s\"", l.Name, outer.Name)
	case outer.Named:
		return conf.Errorf("location \"%s\" cannot be inside the named location \"%s\"", l.Name, outer.Name)
	case l.Named:
		return conf.Errorf("named location \"%s\" can be on the server level only", l.Name)
	case l.Regex == nil && !strings.HasPrefix(l.Name, outer.Name):
		return conf.Errorf("location \"%s\" is outside location \"%s\"", l.Name, outer.Name)
	}
	return nil
}

// buildLocations makes the trees of all servers.
func buildLocations(cf *conf.Conf) error {
	main := cf.Cycle.HTTP.Main[CoreModule.Index].(*MainConf)
	http := cf.Cycle.HTTP.Loc[CoreModule.Index].(*LocConf)
	http.Ctx = cf.Cycle.HTTP
	for _, s := range main.Servers {
		tree, err := buildTree(s.Loc.locations)
		if err != nil {
			return err
		}
		s.locations = tree
	}
	return nil
}

func buildTree(locs []Location[*LocConf]) (*LocationTree[*LocConf], error) {
	if len(locs) == 0 {
		return nil, nil
	}
	for i := range locs {
		nested, err := buildTree(locs[i].Conf.locations)
		if err != nil {
			return nil, err
		}
		locs[i].Nested = nested
	}
	tree, err := NewLocationTree(locs)
	if err != nil {
		return nil, conf.PlainErrorf("%v", err)
	}
	return tree, nil
}

// setServerName handles server_name.
func setServerName(cf *conf.Conf, c any) error {
	s := c.(*SrvConf)
	for _, name := range cf.Args[1:] {
		if complaint := CheckServerName(name); complaint != "" {
			return conf.Errorf("%s", complaint)
		}
		if strings.Contains(name, "/") {
			cf.Warnf("server name \"%s\" has suspicious symbols", name)
		}
		n, err := s.serverName(cf, name)
		if err != nil {
			return err
		}
		if len(s.Names) == 0 {
			s.Name = strings.TrimPrefix(name, ".")
			if n.Regex == nil {
				s.Name = strings.TrimPrefix(n.Name, ".")
			}
		}
		s.Names = append(s.Names, n)
	}
	return nil
}

func (s *SrvConf) serverName(cf *conf.Conf, name string) (ServerName, error) {
	if strings.EqualFold(name, "$hostname") {
		host, err := os.Hostname()
		if err != nil {
			return ServerName{}, conf.Errorf("gethostname() failed %v", err)
		}
		return ServerName{Name: strings.ToLower(host)}, nil
	}
	if !strings.HasPrefix(name, "~") {
		return ServerName{Name: strings.ToLower(name)}, nil
	}
	if len(name) == 1 {
		return ServerName{}, conf.Errorf("empty regex in server name \"%s\"", name)
	}
	pattern := name[1:]
	// Host names are compared in lower case.
	re, err := BindRegex(cf, pattern, strings.ToLower(pattern) != pattern)
	if err != nil {
		return ServerName{}, err
	}
	s.captures = s.captures || re.Groups > 0
	return ServerName{Name: name, Regex: re}, nil
}
