package httplua

import (
	"time"

	"perilune/conf"
	"perilune/luart"
	"perilune/worker/http"
	"perilune/worker/resolver"
)

// socketConf are a location's settings for cosockets.
type socketConf struct {
	connectTimeout   conf.Setting[time.Duration]
	sendTimeout      conf.Setting[time.Duration]
	readTimeout      conf.Setting[time.Duration]
	keepaliveTimeout conf.Setting[time.Duration]
	bufferSize       conf.Setting[int64]
	sendLowat        conf.Setting[int64] // without effect
	poolSize         conf.Setting[int]
	logErrors        conf.Setting[bool]
}

// socketCommands are the directives of cosockets.
func socketCommands() []conf.Command {
	cmd := func(name string, args conf.Args, set func(*conf.Conf, any) error, doc string) conf.Command {
		return conf.Command{Name: name, Ctx: anyLocation, Args: args, Level: conf.LocConf, Set: set, Doc: doc}
	}
	msec := func(f func(s *socketConf) *conf.Setting[time.Duration]) func(*conf.Conf, any) error {
		return conf.SetMsec(func(l *locConf) *conf.Setting[time.Duration] { return f(&l.socket) })
	}
	return []conf.Command{
		cmd("lua_socket_connect_timeout", conf.Take1,
			msec(func(s *socketConf) *conf.Setting[time.Duration] { return &s.connectTimeout }),
			"how long a cosocket may take to connect"),
		cmd("lua_socket_send_timeout", conf.Take1,
			msec(func(s *socketConf) *conf.Setting[time.Duration] { return &s.sendTimeout }),
			"how long a cosocket waits for room to send"),
		cmd("lua_socket_read_timeout", conf.Take1,
			msec(func(s *socketConf) *conf.Setting[time.Duration] { return &s.readTimeout }),
			"how long a cosocket waits for something to receive"),
		cmd("lua_socket_keepalive_timeout", conf.Take1,
			msec(func(s *socketConf) *conf.Setting[time.Duration] { return &s.keepaliveTimeout }),
			"how long a connection stays in its pool unused; 0 is for ever"),
		cmd("lua_socket_buffer_size", conf.Take1,
			conf.SetSize(func(l *locConf) *conf.Setting[int64] { return &l.socket.bufferSize }),
			"the size of a cosocket's buffer for receiving"),
		cmd("lua_socket_pool_size", conf.Take1,
			conf.SetNum(func(l *locConf) *conf.Setting[int] { return &l.socket.poolSize }),
			"how many unused connections to one peer a worker keeps"),
		cmd("lua_socket_log_errors", conf.Flag,
			conf.SetFlag(func(l *locConf) *conf.Setting[bool] { return &l.socket.logErrors }),
			"logs the failures of cosockets"),
		cmd("lua_socket_send_lowat", conf.Take1, setLowat,
			"there for configurations of other systems: Linux has no such limit, and a warning says that it is ignored"),
	}
}

// setLowat is for a directive that nginx ignores on Linux.
func setLowat(cf *conf.Conf, c any) error {
	if err := conf.SetSize(func(l *locConf) *conf.Setting[int64] { return &l.socket.sendLowat })(cf, c); err != nil {
		return err
	}
	cf.Warnf("\"lua_send_lowat\" is not supported, ignored")
	return nil
}

// names is who a location asks for the addresses of names.
type names struct {
	resolver *resolver.Resolver // nil if there is none
	timeout  time.Duration
}

// merge returns the settings as cosockets use them. core may be that of the http block,
// which nothing is merged into.
func (s *socketConf) merge(prev *socketConf, core *http.LocConf) *luart.SocketSettings {
	d := &luart.DefaultSocketSettings
	s.connectTimeout.Merge(prev.connectTimeout, d.ConnectTimeout)
	s.sendTimeout.Merge(prev.sendTimeout, d.SendTimeout)
	s.readTimeout.Merge(prev.readTimeout, d.ReadTimeout)
	s.keepaliveTimeout.Merge(prev.keepaliveTimeout, d.KeepaliveTimeout)
	s.bufferSize.Merge(prev.bufferSize, int64(d.BufferSize))
	s.poolSize.Merge(prev.poolSize, d.PoolSize)
	s.logErrors.Merge(prev.logErrors, d.LogErrors)
	timeout, noDelay := core.ResolverTimeout, core.TCPNodelay
	timeout.Init(30 * time.Second)
	noDelay.Init(true)
	return &luart.SocketSettings{
		ConnectTimeout:   s.connectTimeout.V,
		SendTimeout:      s.sendTimeout.V,
		ReadTimeout:      s.readTimeout.V,
		KeepaliveTimeout: s.keepaliveTimeout.V,
		BufferSize:       int(s.bufferSize.V),
		PoolSize:         s.poolSize.V,
		LogErrors:        s.logErrors.V,
		NoDelay:          noDelay.V,
		Names:            names{core.Resolver.V, timeout.V},
	}
}
