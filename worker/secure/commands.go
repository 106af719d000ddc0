package secure

import (
	"crypto/tls"
	"slices"
	"strings"

	"perilune/conf"
)

// Command is a command of OpenSSL's configuration with its value.
type Command struct{ Name, Value string }

// commandError is what OpenSSL says of a command; cause comes before what it says of the value.
func (c Command) error(cause string) error {
	return conf.PlainErrorf("SSL_CONF_cmd(\"%s\", \"%s\") failed (SSL: %serror:0A000180:SSL routines::bad value:cmd=%s, value=%s)",
		c.Name, c.Value, cause, c.Name, c.Value)
}

// unsupported is the error of what OpenSSL knows and Go does not.
func (c Command) unsupported() error {
	return conf.PlainErrorf("SSL_CONF_cmd(\"%s\", \"%s\") is not supported", c.Name, c.Value)
}

// values are those of a list.
func (c Command) values(separators string) []string {
	return strings.FieldsFunc(c.Value, func(r rune) bool { return strings.ContainsRune(separators, r) })
}

// commands are the commands, in lower case: their names have no case.
var commands = map[string]func(o *Options, cfg *tls.Config, c Command) error{
	"protocol":     setProtocol,
	"minprotocol":  func(o *Options, _ *tls.Config, c Command) error { return o.limit(c, false) },
	"maxprotocol":  func(o *Options, _ *tls.Config, c Command) error { return o.limit(c, true) },
	"cipherstring": setCipherString,
	"ciphersuites": checkCipherSuites,
	"curves":       setCurves,
	"groups":       setCurves,
	"options":      setOptions,
}

// otherCommands are those that OpenSSL has besides.
var otherCommands = strings.Fields(`signaturealgorithms clientsignaturealgorithms ecdhparameters dhparameters certificate privatekey serverinfofile
	chaincapath chaincafile verifycapath verifycafile requestcapath requestcafile clientcapath clientcafile verifymode recordpadding
	numtickets`)

// apply carries out the commands, which may change the protocols and all else that was set before them.
func (o *Options) apply(cfg *tls.Config) error {
	for _, c := range o.Commands {
		name := strings.ToLower(c.Name)
		f := commands[name]
		switch {
		case f == nil && slices.Contains(otherCommands, name):
			return c.unsupported()
		case f == nil:
			return conf.PlainErrorf("SSL_CONF_cmd(\"%s\", \"%s\") failed (SSL: error:0A000182:SSL routines::unknown cmd name:cmd=%s)", c.Name, c.Value, c.Name)
		}
		if err := f(o, cfg, c); err != nil {
			return err
		}
	}
	return nil
}

const allProtocols = SSLv2 | SSLv3 | TLSv1 | TLSv11 | TLSv12 | TLSv13

// setProtocol turns protocols on and off.
func setProtocol(o *Options, _ *tls.Config, c Command) error {
	for _, item := range c.values(",") {
		on := true
		switch item[0] {
		case '+', '-':
			on, item = item[0] == '+', item[1:]
		}
		bits, ok := Protocols[strings.ToLower(item)]
		switch {
		case strings.EqualFold(item, "ALL"):
			bits = allProtocols
		case !ok:
			return c.error("")
		}
		if on {
			o.Protocols |= bits
		} else {
			o.Protocols &^= bits
		}
	}
	return nil
}

// limit sets the lowest or the highest protocol.
func (o *Options) limit(c Command, highest bool) error {
	bit, ok := Protocols[strings.ToLower(c.Value)]
	switch {
	case strings.EqualFold(c.Value, "None"):
		bit = SSLv2
		if highest {
			bit = TLSv13
		}
	case !ok:
		return c.error("")
	}
	if highest {
		o.most = bit
	} else {
		o.least = bit
	}
	return nil
}

// limited are the protocols within the limits.
func (o *Options) limited() uint {
	bits := o.Protocols
	if o.least != 0 {
		bits &^= o.least - 1
	}
	if o.most != 0 {
		bits &= o.most<<1 - 1
	}
	return bits
}

func setCipherString(_ *Options, cfg *tls.Config, c Command) error {
	suites, err := cipherSuites(c.Value)
	if err != nil {
		return c.error("error:0A0000B9:SSL routines::no cipher match ")
	}
	cfg.CipherSuites = suites
	return nil
}

// checkCipherSuites takes the suites of TLS 1.3 that Go has, all of which it offers.
func checkCipherSuites(_ *Options, _ *tls.Config, c Command) error {
	all := []string{"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}
	chosen := c.values(":")
	for _, name := range chosen {
		switch {
		case slices.Contains(all, name):
		case name == "TLS_AES_128_CCM_SHA256" || name == "TLS_AES_128_CCM_8_SHA256":
			return c.unsupported()
		default:
			return c.error("error:0A0000B9:SSL routines::no cipher match ")
		}
	}
	for _, name := range all {
		if !slices.Contains(chosen, name) {
			return c.unsupported()
		}
	}
	return nil
}

// curves are groups by the names that OpenSSL knows, in lower case.
var curves = map[string]tls.CurveID{
	"x25519": tls.X25519, "x25519mlkem768": tls.X25519MLKEM768,
	"p-256": tls.CurveP256, "prime256v1": tls.CurveP256, "secp256r1": tls.CurveP256,
	"p-384": tls.CurveP384, "secp384r1": tls.CurveP384,
	"p-521": tls.CurveP521, "secp521r1": tls.CurveP521,
}

func setCurves(_ *Options, cfg *tls.Config, c Command) error {
	var ids []tls.CurveID
	for _, name := range c.values(":") {
		id, ok := curves[strings.ToLower(name)]
		switch {
		case ok:
			ids = append(ids, id)
		case strings.EqualFold(name, "x448") || strings.HasPrefix(strings.ToLower(name), "ffdhe"):
			return c.unsupported()
		default:
			return c.error("error:0A080106:SSL routines::passed invalid argument:group '" + name + "' cannot be set ")
		}
	}
	cfg.CurvePreferences = ids
	return nil
}

// switches are options, in lower case, with what a client that Go makes does: true and false are that, and such an option can
// only be set so; those of either are for servers.
var switches = map[string]struct{ on, off bool }{
	"serverpreference": {true, true}, "prioritizechacha": {true, true}, "noresumptiononrenegotiation": {true, true}, "antireplay": {true, true},
	"norenegotiation": {true, false}, "emptyfragments": {true, false}, "extendedmastersecret": {true, false},
	"compression": {false, true}, "encryptthenmac": {false, true}, "unsafelegacyrenegotiation": {false, true}, "unsafelegacyserverconnect": {false, true},
	"allownodhekex": {false, true}, "middleboxcompat": {true, false}, "bugs": {false, true}, "cansigneddh": {false, true},
	"dhsingle": {true, true}, "ecdhsingle": {true, true}, "ktls": {false, true}, "strictrsa": {true, true},
}

func setOptions(_ *Options, cfg *tls.Config, c Command) error {
	for _, item := range c.values(",") {
		name, on := item, true
		switch item[0] {
		case '+', '-':
			on, name = item[0] == '+', item[1:]
		}
		name = strings.ToLower(name)
		if name == "sessionticket" {
			cfg.SessionTicketsDisabled = !on
			continue
		}
		s, ok := switches[name]
		switch {
		case !ok:
			return c.error("")
		case on && !s.on, !on && !s.off:
			return c.unsupported()
		}
	}
	return nil
}
