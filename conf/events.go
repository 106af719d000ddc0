package conf

import (
	"net/netip"
	"strings"
	"time"
)

// EventsConf is what the directives of the events block say.
type EventsConf struct {
	acceptMutexDelay  Setting[time.Duration] // without a meaning here
	aioRequests       Setting[int]           // likewise
	WorkerConnections Setting[int]
	Use               Setting[string]
	MultiAccept       Setting[bool]
	AcceptMutex       Setting[bool]

	// Debugged are the networks whose clients get debug messages.
	Debugged Networks

	seen bool
}

// EventsModule has the events block and its directives.
var EventsModule = &Module{
	Name:       "events",
	Kind:       CoreKind,
	CreateMain: func(*Conf) any { return &EventsConf{} },
	InitMain:   initEvents,
	Commands: []Command{
		{
			Name: "events", Ctx: Main, Args: NoArgs | Block,
			Set: setEvents,
			Doc: "The block with the directives that govern connections. It must be there.",
		}, {
			Name: "worker_connections", Ctx: Events, Args: Take1,
			Set: setConnections,
			Doc: "How many connections a worker may have at a time, those to upstreams included; 512 by default.",
		}, {
			Name: "use", Ctx: Events, Args: Take1,
			Set: setUse,
			Doc: "The way of waiting for events. There is only epoll.",
		}, {
			Name: "multi_accept", Ctx: Events, Args: Flag,
			Set: SetFlag(func(c *EventsConf) *Setting[bool] { return &c.MultiAccept }),
			Doc: "Whether a worker accepts all connections that wait, or one at a time; off by default.",
		}, {
			Name: "accept_mutex", Ctx: Events, Args: Flag,
			Set: SetFlag(func(c *EventsConf) *Setting[bool] { return &c.AcceptMutex }),
			Doc: "Checked and otherwise without effect: connections are spread evenly over the workers in any case.",
		}, {
			Name: "accept_mutex_delay", Ctx: Events, Args: Take1,
			Set: SetMsec(func(c *EventsConf) *Setting[time.Duration] { return &c.acceptMutexDelay }),
			Doc: "Checked and otherwise without effect: there is no accept mutex.",
		}, {
			Name: "worker_aio_requests", Ctx: Events, Args: Take1,
			Set: SetNum(func(c *EventsConf) *Setting[int] { return &c.aioRequests }),
			Doc: "Checked and otherwise without effect: there is no asynchronous I/O of files.",
		}, {
			Name: "debug_connection", Ctx: Events, Args: Take1,
			Set: setDebugConnection,
			Doc: "Address, network, host or \"unix:\" of clients whose error log gets debug messages, whatever its level.",
		},
	},
}

// EventsConf is the events block's configuration.
func (c *Cycle) EventsConf() *EventsConf { return c.Core[EventsModule.Index].(*EventsConf) }

func setEvents(cf *Conf, conf any) error {
	c := conf.(*EventsConf)
	if c.seen {
		return ErrDuplicate
	}
	c.seen = true
	cf.Cycle.modulesUsed = true
	return cf.ParseBlock(Events, nil)
}

func setDebugConnection(cf *Conf, conf any) error {
	c := conf.(*EventsConf)
	cf.Cycle.Debug = true
	text := cf.Args[1]
	if text == "unix:" {
		c.Debugged.Unix = true
		return nil
	}
	if p, err := netip.ParsePrefix(text); err == nil {
		if p.Masked() != p {
			cf.Warnf("low address bits of %s are meaningless", text)
		}
		c.Debugged.List = append(c.Debugged.List, p.Masked())
		return nil
	}
	if strings.Contains(text, "/") {
		return DirectiveError("invalid value")
	}
	if a, err := netip.ParseAddr(text); err == nil {
		c.Debugged.List = append(c.Debugged.List, netip.PrefixFrom(a, a.BitLen()))
		return nil
	}
	return c.Debugged.AddHost(cf, text)
}

func setConnections(cf *Conf, conf any) error {
	c := conf.(*EventsConf)
	if c.WorkerConnections.IsSet {
		return ErrDuplicate
	}
	n, err := ParseNum(cf.Args[1])
	if err != nil {
		return Errorf("invalid number \"%s\"", cf.Args[1])
	}
	c.WorkerConnections.Set(n)
	return nil
}

func setUse(cf *Conf, conf any) error {
	c := conf.(*EventsConf)
	if c.Use.IsSet {
		return ErrDuplicate
	}
	if cf.Args[1] != "epoll" {
		return Errorf("invalid event type \"%s\"", cf.Args[1])
	}
	c.Use.Set(cf.Args[1])
	return nil
}

func initEvents(cf *Conf, conf any) error {
	c := conf.(*EventsConf)
	if !c.seen {
		return PlainErrorf("no \"events\" section in configuration")
	}
	c.WorkerConnections.Init(512)
	c.Use.Init("epoll")
	c.MultiAccept.Init(false)
	c.AcceptMutex.Init(false)
	if n := len(cf.Cycle.Listening); c.WorkerConnections.V < n+1 {
		return PlainErrorf("%d worker_connections are not enough for %d listening sockets", c.WorkerConnections.V, n)
	}
	return nil
}
