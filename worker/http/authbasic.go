package http

import (
	"bytes"
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"perilune/conf"
	"perilune/logging"
)

// authConf is the auth_basic module's struct of a location.
type authConf struct {
	realm conf.Setting[*Script]
	file  conf.Setting[*Script]
}

var authModule = &conf.Module{
	Name:      "http_auth_basic",
	Kind:      conf.HTTPKind,
	CreateLoc: func(*conf.Conf) any { return &authConf{} },
	MergeLoc: func(_ *conf.Conf, prev, c any) error {
		p, ac := prev.(*authConf), c.(*authConf)
		ac.realm.Merge(p.realm, nil)
		ac.file.Merge(p.file, nil)
		return nil
	},
}

func init() {
	authModule.Postconfiguration = func(cf *conf.Conf) error {
		mainConfOf(cf).AddHandler(Access, authHandler)
		return nil
	}
	file := setScript(func(c *authConf) *conf.Setting[*Script] { return &c.file })
	loc := conf.HTTP | conf.Server | conf.Location | conf.LimitExcept
	authModule.Commands = []conf.Command{
		{Name: "auth_basic", Ctx: loc, Args: conf.Take1, Level: conf.LocConf,
			Set: setScript(func(c *authConf) *conf.Setting[*Script] { return &c.realm }),
			Doc: "Asks for a user and password, naming this realm; off by default."},
		{Name: "auth_basic_user_file", Ctx: loc, Args: conf.Take1, Level: conf.LocConf,
			Set: func(cf *conf.Conf, c any) error {
				if !HasVariables(cf.Args[1]) {
					cf.Args[1] = cf.Cycle.ConfFullName(cf.Args[1])
				}
				return file(cf, c)
			},
			Doc: "File with user:password lines; passwords as $1$, $5$, $6$, $2a$, $2b$, $2y$, $apr1$, {SHA}, {SSHA} or {PLAIN}. Another kind is an error."},
	}
}

// authHandler works in the access phase.
func authHandler(r *Request) int {
	ac := r.LocCtx[authModule.Index].(*authConf)
	if ac.realm.V == nil || ac.file.V == nil {
		return Declined
	}
	realm := string(ac.realm.V.AppendTo(r, nil))
	if realm == "off" {
		return Declined
	}
	user, password, ok := r.credentials()
	if !ok {
		r.Log(logging.Info, "no user/password was provided for basic authentication")
		return r.askPassword(realm)
	}
	file := r.Server.cycle.ConfFullName(string(ac.file.V.AppendTo(r, nil)))
	text, err := os.ReadFile(file)
	if err != nil {
		level, status := logging.Crit, 500
		if errors.Is(err, unix.ENOENT) {
			level, status = logging.Error, 403
		}
		var pe *os.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		r.Log(level, "open() \"%s\" failed %s", file, logging.ErrnoText(err))
		return status
	}
	for line := range bytes.Lines(text) {
		name, rest, found := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte{':'})
		if !found || len(line) > 0 && line[0] == '#' || !bytes.Equal(name, user) {
			continue
		}
		entry, _, _ := strings.Cut(string(rest), ":")
		kind := kindOf(entry)
		if kind == nil {
			r.Log(logging.Error, "user \"%s\": the password in \"%s\" is of a kind that is not supported", user, file)
			return 500
		}
		if kind.check(r, entry, string(password)) {
			return OK
		}
		r.Log(logging.Error, "user \"%s\": password mismatch", user)
		return r.askPassword(realm)
	}
	r.Log(logging.Error, "user \"%s\" was not found in \"%s\"", user, file)
	return r.askPassword(realm)
}

func (r *Request) askPassword(realm string) int {
	r.HeadersOut.Add("WWW-Authenticate", "Basic realm=\""+realm+"\"")
	return 401
}

// check compares a password with an entry. Where that takes long on purpose other requests are served meanwhile.
func (k *passwordKind) check(r *Request, entry, password string) (ok bool) {
	if !k.slow {
		return k.matches(entry, password)
	}
	r.Loop().Block(func() { ok = k.matches(entry, password) })
	return ok
}

// credentials are the user and password of the request's Authorization header.
func (r *Request) credentials() (user, password []byte, ok bool) {
	user, ok = remoteUser(r, nil, "")
	if !ok {
		return nil, nil, false
	}
	_, encoded, _ := bytes.Cut(r.HeadersIn.Value(HeaderAuthorization), []byte{' '})
	text, _ := stdBase64.appendDecoded(nil, bytes.TrimLeft(encoded, " "))
	return user, text[len(user)+1:], true
}
