package httplua

import (
	"crypto"
	"crypto/tls"
	"errors"
	"time"

	"perilune/conf"
	"perilune/luart"
	"perilune/worker/secure"
)

// tlsConf are the directives about TLS of cosockets in a block.
type tlsConf struct {
	protocols    conf.Setting[uint]
	ciphers      conf.Setting[string]
	verifyDepth  conf.Setting[int]
	trusted      conf.Setting[string]
	crl          conf.Setting[string]
	certificates conf.Setting[[]string]
	keys         conf.Setting[[]string]
	commands     conf.Setting[[]secure.Command]
	keyLog       conf.Setting[string]

	settings *secure.Settings
}

func tlsCommands() []conf.Command {
	const in = conf.HTTP | conf.Server | conf.Location
	file := func(name, doc string, place func(c *tlsConf) *conf.Setting[string]) conf.Command {
		return conf.Command{Name: name, Ctx: in, Args: conf.Take1, Level: conf.LocConf, Doc: doc,
			Set: conf.SetStr(func(l *locConf) *conf.Setting[string] { return place(&l.tls) })}
	}
	return []conf.Command{
		{Name: "lua_ssl_protocols", Ctx: in, Args: conf.OneMore, Level: conf.LocConf,
			Set: conf.SetBits(func(l *locConf) *conf.Setting[uint] { return &l.tls.protocols }, secure.Protocols),
			Doc: "the protocols of sslhandshake, without a gap between them; SSLv2 and SSLv3 are none any more"},
		{Name: "lua_ssl_ciphers", Ctx: in, Args: conf.Take1, Level: conf.LocConf,
			Set: conf.SetStr(func(l *locConf) *conf.Setting[string] { return &l.tls.ciphers }),
			Doc: "the cipher suites of sslhandshake up to TLS 1.2, as OpenSSL lists them; their order is fixed"},
		{Name: "lua_ssl_verify_depth", Ctx: in, Args: conf.Take1, Level: conf.LocConf,
			Set: conf.SetNum(func(l *locConf) *conf.Setting[int] { return &l.tls.verifyDepth }),
			Doc: "how many certificates there may be between a server's and a trusted one"},
		file("lua_ssl_trusted_certificate", "a file of certificates that sslhandshake trusts",
			func(c *tlsConf) *conf.Setting[string] { return &c.trusted }),
		file("lua_ssl_crl", "a file of lists of certificates that are revoked; every certificate needs a list of its issuer then",
			func(c *tlsConf) *conf.Setting[string] { return &c.crl }),
		{Name: "lua_ssl_certificate", Ctx: in, Args: conf.Take1, Level: conf.LocConf,
			Set: conf.AppendStr(func(l *locConf) *conf.Setting[[]string] { return &l.tls.certificates }),
			Doc: "a file with the certificate that sslhandshake shows to servers that ask for one"},
		{Name: "lua_ssl_certificate_key", Ctx: in, Args: conf.Take1, Level: conf.LocConf,
			Set: conf.AppendStr(func(l *locConf) *conf.Setting[[]string] { return &l.tls.keys }),
			Doc: "the key of lua_ssl_certificate"},
		{Name: "lua_ssl_conf_command", Ctx: in, Args: conf.Take2, Level: conf.LocConf, Set: setTLSCommand,
			Doc: "a command of OpenSSL's configuration: Protocol, MinProtocol, MaxProtocol, CipherString, Curves, Groups, Options; what Go's TLS cannot do is refused"},
		file("lua_ssl_key_log", "a file that gets the keys of the connections of sslhandshake, in the format of SSLKEYLOGFILE",
			func(c *tlsConf) *conf.Setting[string] { return &c.keyLog }),
	}
}

// setTLSCommand is lua_ssl_conf_command.
func setTLSCommand(cf *conf.Conf, c any) error {
	s := &c.(*locConf).tls.commands
	s.IsSet = true
	s.V = append(s.V, secure.Command{Name: cf.Args[1], Value: cf.Args[2]})
	return nil
}

// merge inherits; a block with no directive of its own shares what the files of the block around it hold.
func (c *tlsConf) merge(cf *conf.Conf, prev *tlsConf) error {
	own := c.protocols.IsSet || c.ciphers.IsSet || c.verifyDepth.IsSet || c.trusted.IsSet || c.crl.IsSet ||
		c.certificates.IsSet || c.keys.IsSet || c.commands.IsSet || c.keyLog.IsSet
	c.protocols.Merge(prev.protocols, secure.TLSv1|secure.TLSv11|secure.TLSv12|secure.TLSv13)
	c.ciphers.Merge(prev.ciphers, "DEFAULT")
	c.verifyDepth.Merge(prev.verifyDepth, 1)
	c.trusted.Merge(prev.trusted, "")
	c.crl.Merge(prev.crl, "")
	c.certificates.Merge(prev.certificates, nil)
	c.keys.Merge(prev.keys, nil)
	c.commands.Merge(prev.commands, nil)
	c.keyLog.Merge(prev.keyLog, "")
	if !own && prev.settings != nil {
		c.settings = prev.settings
		return nil
	}
	if n := len(c.certificates.V); len(c.keys.V) < n {
		return conf.PlainErrorf("no \"lua_ssl_certificate_key\" is defined for certificate \"%s\"", c.certificates.V[n-1])
	}
	full := func(path string) string {
		if path == "" {
			return ""
		}
		return cf.Cycle.ConfFullName(path)
	}
	o := &secure.Options{Protocols: c.protocols.V, Ciphers: c.ciphers.V, Depth: c.verifyDepth.V,
		Trusted: full(c.trusted.V), CRL: full(c.crl.V), Commands: c.commands.V}
	if path := full(c.keyLog.V); path != "" {
		o.KeyLog = cf.Cycle.Files.Open(path)
	}
	for i, path := range c.certificates.V {
		o.Certificates = append(o.Certificates, full(path))
		o.Keys = append(o.Keys, full(c.keys.V[i]))
	}
	s, err := secure.Load(o)
	c.settings = s
	if !own {
		prev.settings = s
	}
	return err
}

// secureStream is a stream of TLS.
type secureStream struct {
	stream
	tls *secure.Conn
}

// StartTLS does a handshake.
func (n *network) StartTLS(s luart.Stream, h *luart.Handshake, timeout time.Duration) (luart.SecureStream, error) {
	plain, ok := s.(stream)
	settings, configured := h.Settings.(*secure.Settings)
	if !ok || !configured {
		return nil, errors.New("not supported for downstream sockets")
	}
	how := &secure.Handshake{Settings: settings, Name: h.Name, Verify: h.Verify}
	how.Session, _ = h.Session.(*secure.Session)
	if id := h.Identity; id != nil {
		chain, isChain := id.Cert.([][]byte)
		key, isKey := id.Key.(crypto.Signer)
		if !isChain || len(chain) == 0 {
			return nil, errors.New("invalid client certificate chain")
		}
		if !isKey {
			return nil, errors.New("ssl set client private key failed")
		}
		how.Identity = &tls.Certificate{Certificate: chain, PrivateKey: key}
	}
	c, err := secure.Client(n.loop, plain.Conn, how, timeout)
	if err != nil {
		return nil, tlsError(err)
	}
	return secureStream{plain, c}, nil
}

// tlsError is an error of package secure as luart knows it.
func tlsError(err error) error {
	const prefix = "lua ssl certificate "
	switch e := err.(type) {
	case *secure.CertificateError:
		x := &luart.TLSError{Code: e.Code, Text: e.Error(), Level: luart.LevelError, Quiet: true}
		x.Log = prefix + "verify error: (" + x.Error() + ")"
		return x
	case *secure.HostError:
		return &luart.TLSError{Text: e.Error(), Level: luart.LevelError, Quiet: true,
			Log: prefix + "does not match host \"" + e.Name + "\""}
	case *secure.HandshakeError:
		x := &luart.TLSError{Text: e.Error(), Level: luart.LevelError, Log: e.Text}
		if e.Critical {
			x.Level = luart.LevelCrit
		}
		if e.Errno != 0 {
			x.Errno = e.Errno
		}
		return x
	case *secure.ReadError:
		return &luart.TLSError{Text: e.Error(), Level: luart.LevelCrit, Log: e.Text}
	}
	return streamError(err)
}

func (s secureStream) Session() luart.TLSSession { return s.tls.Session() }

func (s secureStream) Read(b []byte, timeout time.Duration) (int, error) {
	n, err := s.tls.Read(b, timeout)
	return n, tlsError(err)
}

func (s secureStream) Write(b []byte, timeout time.Duration) (int, error) {
	n, err := s.tls.Write(b, timeout)
	return n, tlsError(err)
}

// Quiet has TLS read the messages that are for itself.
func (s secureStream) Quiet() bool { return s.tls.Quiet() }
