package http

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/base64"
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
	script := func(f func(*authConf) *conf.Setting[*Script]) func(*conf.Conf, any) error {
		return func(cf *conf.Conf, c any) error {
			s := f(c.(*authConf))
			if s.IsSet {
				return conf.ErrDuplicate
			}
			text := cf.Args[1]
			if cf.Args[0] == "auth_basic_user_file" && !HasVariables(text) {
				text = cf.Cycle.ConfFullName(text)
			}
			x, err := CompileScript(cf, text)
			s.Set(x)
			return err
		}
	}
	loc := conf.HTTP | conf.Server | conf.Location | conf.LimitExcept
	authModule.Commands = []conf.Command{
		{Name: "auth_basic", Ctx: loc, Args: conf.Take1, Level: conf.LocConf,
			Set: script(func(c *authConf) *conf.Setting[*Script] { return &c.realm }),
			Doc: "Asks for a user and password, naming this realm; off by default."},
		{Name: "auth_basic_user_file", Ctx: loc, Args: conf.Take1, Level: conf.LocConf,
			Set: script(func(c *authConf) *conf.Setting[*Script] { return &c.file }),
			Doc: "File with user:password lines; passwords as $apr1$, {SHA}, {SSHA} or {PLAIN}. Those of crypt(3) match nothing, and that is logged."},
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
		hash, _, _ := strings.Cut(string(rest), ":")
		match, known := passwordMatches(hash, password)
		switch {
		case !known:
			r.Log(logging.Error, "user \"%s\": the password in \"%s\" is of a kind that is not supported", user, file)
			return 500
		case match:
			return OK
		}
		r.Log(logging.Error, "user \"%s\": password mismatch", user)
		return r.askPassword(realm)
	}
	r.Log(logging.Error, "user \"%s\" was not found in \"%s\"", user, file)
	return r.askPassword(realm)
}

func (r *Request) askPassword(realm string) int {
	r.HeadersOut.Del("WWW-Authenticate")
	r.HeadersOut.Add("WWW-Authenticate", "Basic realm=\""+realm+"\"")
	return 401
}

// credentials are the user and password of the request's Authorization header.
func (r *Request) credentials() (user, password []byte, ok bool) {
	user, ok = remoteUser(r, nil, "")
	if !ok {
		return nil, nil, false
	}
	_, encoded, _ := bytes.Cut(r.HeadersIn.Value(HeaderAuthorization), []byte{' '})
	text, err := base64.StdEncoding.AppendDecode(nil, bytes.TrimLeft(encoded, " "))
	if err != nil {
		return nil, nil, false
	}
	return user, text[len(user)+1:], true
}

// passwordMatches compares a password with an entry of the file. It does not know all kinds of entries.
func passwordMatches(entry string, password []byte) (match, known bool) {
	same := func(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }
	if text, ok := strings.CutPrefix(entry, "{PLAIN}"); ok {
		return same([]byte(text), password), true
	}
	if text, ok := strings.CutPrefix(entry, "{SHA}"); ok {
		sum := sha1.Sum(password)
		return same([]byte(text), []byte(base64.StdEncoding.EncodeToString(sum[:]))), true
	}
	if text, ok := strings.CutPrefix(entry, "{SSHA}"); ok {
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(raw) < sha1.Size {
			return false, true
		}
		sum := sha1.Sum(append(bytes.Clone(password), raw[sha1.Size:]...))
		return same(raw[:sha1.Size], sum[:]), true
	}
	if text, ok := strings.CutPrefix(entry, "$apr1$"); ok {
		salt, _, _ := strings.Cut(text, "$")
		return same([]byte(entry), []byte(apr1(password, salt))), true
	}
	return false, false
}

const apr1Alphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// apr1 is the hash that Apache's htpasswd makes by default: a thousand rounds of MD5.
func apr1(password []byte, salt string) string {
	salt = salt[:min(len(salt), 8)]
	inner := md5.Sum([]byte(string(password) + salt + string(password)))
	text := append(bytes.Clone(password), "$apr1$"+salt...)
	for n := len(password); n > 0; n -= md5.Size {
		text = append(text, inner[:min(n, md5.Size)]...)
	}
	for n := len(password); n > 0; n >>= 1 {
		if n&1 != 0 {
			text = append(text, 0)
		} else {
			text = append(text, password[0])
		}
	}
	sum := md5.Sum(text)
	for round := range 1000 {
		text = text[:0]
		add := func(first bool) {
			if first {
				text = append(text, password...)
			} else {
				text = append(text, sum[:]...)
			}
		}
		add(round&1 != 0)
		if round%3 != 0 {
			text = append(text, salt...)
		}
		if round%7 != 0 {
			text = append(text, password...)
		}
		add(round&1 == 0)
		sum = md5.Sum(text)
	}
	out := []byte("$apr1$" + salt + "$")
	put := func(v uint32, n int) {
		for ; n > 0; n-- {
			out = append(out, apr1Alphabet[v&63])
			v >>= 6
		}
	}
	for i := range 5 {
		last := i + 12
		if i == 4 {
			last = 5
		}
		put(uint32(sum[i])<<16|uint32(sum[i+6])<<8|uint32(sum[last]), 4)
	}
	put(uint32(sum[11]), 2)
	return string(out)
}
