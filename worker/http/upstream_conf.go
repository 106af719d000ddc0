package http

import (
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"perilune/conf"
	"perilune/logging"
	"perilune/worker/peer"
	"perilune/worker/upstream"
)

// upstreamMain is the upstream module's struct of the http block.
type upstreamMain struct {
	list []*upstreamConf
}

// upstreamConf is an upstream block, or what a proxy_pass with a host makes of it.
type upstreamConf struct {
	host    string
	port    int
	noPort  bool
	block   bool // there is an upstream block
	file    string
	line    int
	servers []upstream.Server

	keep      upstream.Pool // of keepalive and its like; Max is 0 without
	keepTime  conf.Setting[time.Duration]
	keepIdle  conf.Setting[time.Duration]
	keepCount conf.Setting[int]
	keepSet   bool

	method      upstream.Method
	chosen      bool     // by a directive
	unsupported []string // parameters of servers that the method does not know
	hashed      *Script  // the key of hash
	zone        *conf.Zone

	balancer      Balancer
	serverless    bool // and has to choose: no server is configured
	balancerKeeps func() int
	balanced      upstream.Pool // of connections to servers that it has chosen

	group *upstream.Group
}

var upstreamModule = &conf.Module{
	Name:       "http_upstream",
	Kind:       conf.HTTPKind,
	CreateMain: func(*conf.Conf) any { return &upstreamMain{} },
	CreateSrv:  func(*conf.Conf) any { return &upstreamConf{} },
}

func init() {
	upstreamModule.Preconfiguration = func(cf *conf.Conf) error { return addVariables(cf, upstreamVariables) }
	upstreamModule.InitMain = func(cf *conf.Conf, c any) error {
		for _, u := range c.(*upstreamMain).list {
			if err := u.init(cf); err != nil {
				return err
			}
		}
		return nil
	}
	in := func(name string, args conf.Args, set func(*conf.Conf, any) error, doc string) conf.Command {
		return conf.Command{Name: name, Ctx: conf.Upstream, Args: args, Level: conf.SrvConf, Set: set, Doc: doc}
	}
	upstreamModule.Commands = []conf.Command{
		{Name: "upstream", Ctx: conf.HTTP, Args: conf.Block | conf.Take1, Level: conf.MainConf, Set: setUpstream,
			Doc: "A group of servers, to be named in proxy_pass."},
		in("server", conf.OneMore, setUpstreamServer,
			"A server of the group: address, weight=, max_conns=, max_fails=, fail_timeout=, backup, down."),
		in("keepalive", conf.Take1, setUpstreamKeepalive,
			"How many idle connections to the group's servers each worker keeps; none by default."),
		in("zone", conf.Take12, setUpstreamZone,
			"A zone of shared memory, name and size, that keeps the state of the group's servers for all workers; further groups may use it by name. A reload with the same servers keeps the state."),
		in("hash", conf.Take12, setUpstreamHash,
			"Chooses a server by the hash of a text with variables; with consistent few texts change their server when servers come or go."),
		in("ip_hash", conf.NoArgs, setUpstreamMethod(upstream.IPHash, "backup"),
			"Chooses a server by the client's address: the first three bytes of an IPv4 address."),
		in("least_conn", conf.NoArgs, setUpstreamMethod(upstream.LeastConn),
			"Chooses the server with the fewest connections for its weight."),
		in("random", conf.NoArgs|conf.Take12, setUpstreamRandom,
			"Chooses a server by chance and weight; with two, the one of two such with fewer connections."),
		in("keepalive_requests", conf.Take1, conf.SetNum(func(c *upstreamConf) *conf.Setting[int] { return &c.keepCount }),
			"How many requests a kept connection may serve; 1000 by default."),
		in("keepalive_time", conf.Take1, conf.SetMsec(func(c *upstreamConf) *conf.Setting[time.Duration] { return &c.keepTime }),
			"The age at which a kept connection ends; 1h by default."),
		in("keepalive_timeout", conf.Take1, conf.SetMsec(func(c *upstreamConf) *conf.Setting[time.Duration] { return &c.keepIdle }),
			"How long a kept connection may be idle; 60s by default."),
	}
}

// addVariables gives the configuration the variables of a module.
func addVariables(cf *conf.Conf, list []Variable) error {
	for _, v := range list {
		if err := AddVariable(cf, v); err != nil {
			return err
		}
	}
	return nil
}

func upstreamMainOf(cf *conf.Conf) *upstreamMain {
	return cf.Ctx.Main[upstreamModule.Index].(*upstreamMain)
}

// setUpstream handles upstream … { … }.
func setUpstream(cf *conf.Conf, c any) error {
	ctx := cf.NewUpstream()
	u, err := c.(*upstreamMain).add(cf, upstreamURL{host: cf.Args[1], noPort: true}, true)
	if err != nil {
		return err
	}
	ctx.Srv[upstreamModule.Index] = u
	u.servers = nil
	if err := cf.ParseBlock(conf.Upstream, ctx); err != nil {
		return err
	}
	if len(u.servers) == 0 {
		return conf.Errorf("no servers are inside upstream")
	}
	return nil
}

// add finds or makes the group of an upstream block, or of the host of a proxy_pass.
func (m *upstreamMain) add(cf *conf.Conf, url upstreamURL, block bool) (*upstreamConf, error) {
	for _, u := range m.list {
		if !strings.EqualFold(u.host, url.host) {
			continue
		}
		switch {
		case block && u.block:
			return nil, conf.Errorf("duplicate upstream \"%s\"", url.host)
		case u.block && !url.noPort:
			return nil, conf.Errorf("upstream \"%s\" may not have port %d", url.host, url.port)
		case block && !u.noPort:
			return nil, conf.PlainErrorf("upstream \"%s\" may not have port %d in %s:%d", url.host, u.port, u.file, u.line)
		case u.port != 0 && url.port != 0 && u.port != url.port:
			continue
		}
		if block {
			u.block, u.port = true, 0
		}
		return u, nil
	}
	u := &upstreamConf{host: url.host, port: url.port, noPort: url.noPort, block: block}
	u.file, u.line = cf.Pos()
	if a, ok := url.peerAddr(); ok && !block {
		u.servers = []upstream.Server{defaultServer()}
		u.servers[0].Addrs = []peer.Addr{a}
	}
	m.list = append(m.list, u)
	return u, nil
}

// defaultServer is a server without parameters.
func defaultServer() upstream.Server {
	return upstream.Server{Weight: 1, MaxFails: 1, FailTimeout: 10 * time.Second}
}

// setUpstreamServer handles server in an upstream block.
func setUpstreamServer(cf *conf.Conf, c any) error {
	u := c.(*upstreamConf)
	s := defaultServer()
	s.Name = cf.Args[1]
	for _, arg := range cf.Args[2:] {
		if name, _, _ := strings.Cut(arg, "="); slices.Contains(u.unsupported, name) {
			return conf.Errorf("balancing method does not support parameter \"%s\"", arg)
		}
		if !setServerParameter(&s, arg) {
			return conf.Errorf("invalid parameter \"%s\"", arg)
		}
	}
	url, complaint := parseUpstreamURL(cf.Args[1], 80, false)
	if complaint != "" {
		return conf.Errorf("%s in upstream \"%s\"", complaint, cf.Args[1])
	}
	if a, ok := url.peerAddr(); ok {
		s.Addrs = []peer.Addr{a}
	} else if s.Addrs = lookup(cf, url.host, url.port); s.Addrs == nil {
		return conf.Errorf("host not found in upstream \"%s\"", cf.Args[1])
	}
	u.servers = append(u.servers, s)
	return nil
}

// setServerParameter takes one parameter of a server.
func setServerParameter(s *upstream.Server, arg string) bool {
	name, value, hasValue := strings.Cut(arg, "=")
	n, err := conf.ParseNum(value)
	switch name {
	case "weight":
		s.Weight = n
		return err == nil && n > 0
	case "max_conns":
		s.MaxConns = n
		return err == nil
	case "max_fails":
		s.MaxFails = n
		return err == nil
	case "fail_timeout":
		s.FailTimeout, err = conf.ParseTime(value, true)
		return err == nil && hasValue
	case "backup":
		s.Backup = true
		return !hasValue
	case "down":
		s.Down = true
		return !hasValue
	}
	return false
}

// lookup finds the addresses of a host when the configuration is read; nil if it has none.
func lookup(cf *conf.Conf, host string, port int) []peer.Addr {
	ips, err := cf.LookupHost(host)
	if err != nil {
		return nil
	}
	var addrs []peer.Addr
	for _, ip := range ips {
		addrs = append(addrs, peer.TCP(ip, uint16(port)))
	}
	return addrs
}

func setUpstreamKeepalive(cf *conf.Conf, c any) error {
	u := c.(*upstreamConf)
	if u.keepSet {
		return conf.ErrDuplicate
	}
	n, err := conf.ParseNum(cf.Args[1])
	if err != nil || n == 0 {
		return conf.Errorf("invalid value \"%s\" in \"keepalive\" directive", cf.Args[1])
	}
	u.keep.Max = n
	u.keepSet, u.chosen = true, true
	return nil
}

// redefine is what a directive for a method does: it takes the place of those before, keepalive included, as in nginx.
func (u *upstreamConf) redefine(cf *conf.Conf) {
	if u.chosen {
		cf.Warnf("load balancing method redefined")
	}
	u.chosen = true
	u.keep.Max = 0
	u.unsupported = nil
	u.method, u.hashed, u.balancer = upstream.RoundRobin, nil, nil
}

func setUpstreamMethod(m upstream.Method, unsupported ...string) func(*conf.Conf, any) error {
	return func(cf *conf.Conf, c any) error {
		u := c.(*upstreamConf)
		u.redefine(cf)
		u.method, u.unsupported = m, unsupported
		return nil
	}
}

func setUpstreamHash(cf *conf.Conf, c any) error {
	u := c.(*upstreamConf)
	key, err := CompileScript(cf, cf.Args[1])
	if err != nil {
		return err
	}
	m := upstream.Hash
	if len(cf.Args) == 3 {
		if cf.Args[2] != "consistent" {
			return conf.Errorf("invalid parameter \"%s\"", cf.Args[2])
		}
		m = upstream.ConsistentHash
	}
	err = setUpstreamMethod(m, "backup")(cf, c)
	u.hashed = key
	return err
}

func setUpstreamRandom(cf *conf.Conf, c any) error {
	m := upstream.Random
	for i, arg := range cf.Args[1:] {
		if arg != [...]string{"two", "least_conn"}[i] {
			return conf.Errorf("invalid parameter \"%s\"", arg)
		}
		m = upstream.RandomTwo
	}
	return setUpstreamMethod(m, "backup")(cf, c)
}

func setUpstreamZone(cf *conf.Conf, c any) error {
	u := c.(*upstreamConf)
	name := cf.Args[1]
	if name == "" {
		return conf.Errorf("invalid zone name \"%s\"", name)
	}
	size := int64(0)
	if len(cf.Args) == 3 {
		var err error
		if size, err = conf.ParseSize(cf.Args[2]); err != nil {
			return conf.Errorf("invalid zone size \"%s\"", cf.Args[2])
		}
		if size < int64(8*os.Getpagesize()) {
			return conf.Errorf("zone \"%s\" is too small", name)
		}
	}
	var err error
	u.zone, err = cf.SharedZone(name, size, upstreamModule)
	return err
}

// hashKey is what the group's method makes a hash of.
func (u *upstreamRequest) hashKey() []byte {
	switch {
	case u.up == nil:
	case u.up.hashed != nil:
		u.key = u.up.hashed.AppendTo(u.r, u.key[:0])
		return u.key
	case u.up.method == upstream.IPHash:
		return u.r.Conn.Binary
	}
	return nil
}

// init makes the group when all of the http block has been read.
func (u *upstreamConf) init(cf *conf.Conf) error {
	servers := u.servers
	if servers == nil {
		if u.port == 0 {
			return conf.PlainErrorf("no port in upstream \"%s\" in %s:%d", u.host, u.file, u.line)
		}
		addrs := lookup(cf, u.host, u.port)
		if addrs == nil {
			return conf.PlainErrorf("host not found in upstream \"%s\" in %s:%d", u.host, u.file, u.line)
		}
		servers = []upstream.Server{defaultServer()}
		servers[0].Name, servers[0].Addrs = u.host, addrs
	}
	u.group = upstream.NewGroup(u.host, servers)
	u.group.Balance(u.method)
	if u.balancerKeeps != nil {
		u.balanced.Max = u.balancerKeeps()
	}
	if len(u.group.Peers(false)) == 0 {
		return conf.PlainErrorf("no servers in upstream \"%s\" in %s:%d", u.host, u.file, u.line)
	}
	if u.keep.Max > 0 {
		u.keepTime.Init(time.Hour)
		u.keepIdle.Init(time.Minute)
		u.keepCount.Init(1000)
		u.keep.Time, u.keep.Timeout, u.keep.Requests = u.keepTime.V, u.keepIdle.V, u.keepCount.V
		u.group.Keep = &u.keep
	}
	return nil
}

// find looks for the group of a host whose name is known only at run time.
func (m *upstreamMain) find(url *upstreamURL) *upstreamConf {
	for _, u := range m.list {
		if strings.EqualFold(u.host, url.host) && (u.port == 0 && url.noPort || u.port == url.port) {
			return u
		}
	}
	return nil
}

// setUpUpstreams has the idle connections of the groups closed when the worker is going away.
func (s *Server) setUpUpstreams() {
	m := s.cycle.HTTP.Main[upstreamModule.Index].(*upstreamMain)
	for _, u := range m.list {
		if u.zone != nil {
			d := u.zone.Memory.Dict()
			d.Now = s.SharedMsec
			u.group.Share(d, func(err error) {
				s.log.Logf(logging.Alert, 0, "upstream \"%s\": zone \"%s\": %v", u.host, u.zone.Name, err)
			})
		}
	}
	s.OnDraining(func() {
		for _, u := range m.list {
			u.keep.Close()
			u.balanced.Close()
		}
	})
}

// ephemeral makes a group of addresses that have been found for one request.
func ephemeral(name string, ips []netip.Addr, port int) *upstream.Group {
	s := defaultServer()
	for _, ip := range ips {
		s.Addrs = append(s.Addrs, peer.TCP(ip, uint16(port)))
	}
	return upstream.NewGroup(name, []upstream.Server{s})
}
