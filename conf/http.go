package conf

// HTTPBlock does all of the http directive that is common to its modules, in
// nginx's order: it makes the structs of the modules, calls their
// Preconfiguration, parses the block, sets the defaults of and merges one module
// after the other, calls merged (the place to build location trees; may be nil),
// and then every Postconfiguration. A handler calls it and returns its error.
func (cf *Conf) HTTPBlock(merged func(cf *Conf) error) error {
	if cf.Cycle.HTTP != nil {
		return ErrDuplicate
	}
	modules := cf.httpModules()
	ctx := &Ctx{
		Main: make([]any, len(modules)),
		Srv:  make([]any, len(modules)),
		Loc:  make([]any, len(modules)),
	}
	cf.Cycle.HTTP = ctx
	cf.Cycle.modulesUsed = true
	saved := cf.Ctx
	cf.Ctx = ctx
	defer func() { cf.Ctx = saved }()
	for _, m := range modules {
		ctx.Main[m.Index] = create(cf, m.CreateMain)
		ctx.Srv[m.Index] = create(cf, m.CreateSrv)
		ctx.Loc[m.Index] = create(cf, m.CreateLoc)
	}
	for _, m := range modules {
		if m.Preconfiguration != nil {
			if err := m.Preconfiguration(cf); err != nil {
				return err
			}
		}
	}
	if err := cf.ParseBlock(HTTP, ctx); err != nil {
		return err
	}
	for _, m := range modules {
		if m.InitMain != nil {
			if err := m.InitMain(cf, ctx.Main[m.Index]); err != nil {
				return err
			}
		}
		if err := cf.mergeServers(m, ctx); err != nil {
			return err
		}
	}
	if merged != nil {
		if err := merged(cf); err != nil {
			return err
		}
	}
	for _, m := range modules {
		if m.Postconfiguration != nil {
			if err := m.Postconfiguration(cf); err != nil {
				return err
			}
		}
	}
	return nil
}

// NewServer makes the block of a server directive within the http block in
// hand, to be given to ParseBlock.
func (cf *Conf) NewServer() *Ctx {
	ctx := cf.NewUpstream()
	cf.Ctx.Children = append(cf.Ctx.Children, ctx)
	return ctx
}

// NewUpstream makes the block of an upstream directive, likewise. It inherits
// nothing, and nothing is merged into it.
func (cf *Conf) NewUpstream() *Ctx {
	modules := cf.httpModules()
	ctx := &Ctx{
		Main: cf.Ctx.Main,
		Srv:  make([]any, len(modules)),
		Loc:  make([]any, len(modules)),
	}
	for _, m := range modules {
		ctx.Srv[m.Index] = create(cf, m.CreateSrv)
		ctx.Loc[m.Index] = create(cf, m.CreateLoc)
	}
	return ctx
}

// NewLocation makes the block of a location, if or limit_except directive
// within the server or location in hand, to be given to ParseBlock.
func (cf *Conf) NewLocation() *Ctx {
	modules := cf.httpModules()
	ctx := &Ctx{
		Main: cf.Ctx.Main,
		Srv:  cf.Ctx.Srv,
		Loc:  make([]any, len(modules)),
	}
	for _, m := range modules {
		ctx.Loc[m.Index] = create(cf, m.CreateLoc)
	}
	cf.Ctx.Children = append(cf.Ctx.Children, ctx)
	return ctx
}

func create(cf *Conf, f func(cf *Conf) any) any {
	if f == nil {
		return nil
	}
	return f(cf)
}

func (cf *Conf) httpModules() []*Module {
	var modules []*Module
	for _, m := range cf.Cycle.Modules {
		if m.Kind == HTTPKind {
			modules = append(modules, m)
		}
	}
	return modules
}

// mergeServers merges one module's structs from http into the servers and on
// into their locations. cf.Ctx is the block being merged.
func (cf *Conf) mergeServers(m *Module, http *Ctx) error {
	defer func() { cf.Ctx = http }()
	for _, server := range http.Children {
		cf.Ctx = server
		if m.MergeSrv != nil {
			if err := m.MergeSrv(cf, http.Srv[m.Index], server.Srv[m.Index]); err != nil {
				return err
			}
		}
		if err := cf.mergeLocation(m, http, server); err != nil {
			return err
		}
	}
	return nil
}

// mergeLocation merges one module's struct from a block into one within it and
// on into the locations of that.
func (cf *Conf) mergeLocation(m *Module, prev, ctx *Ctx) error {
	if m.MergeLoc == nil {
		return nil
	}
	cf.Ctx = ctx
	if err := m.MergeLoc(cf, prev.Loc[m.Index], ctx.Loc[m.Index]); err != nil {
		return err
	}
	for _, child := range ctx.Children {
		if err := cf.mergeLocation(m, ctx, child); err != nil {
			return err
		}
	}
	return nil
}
