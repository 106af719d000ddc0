package http

import (
	"bytes"
	"crypto/md5"
	"crypto/subtle"
	"encoding/hex"
	"strconv"

	"perilune/conf"
)

// secureLinkConf is the secure_link module's struct of a location.
type secureLinkConf struct {
	link   conf.Setting[*Script]
	md5    conf.Setting[*Script]
	secret conf.Setting[string]
}

var secureLinkModule = &conf.Module{
	Name:      "http_secure_link",
	Kind:      conf.HTTPKind,
	CreateLoc: func(*conf.Conf) any { return &secureLinkConf{} },
	MergeLoc: func(_ *conf.Conf, prev, c any) error {
		p, sc := prev.(*secureLinkConf), c.(*secureLinkConf)
		if sc.secret.IsSet {
			if sc.link.IsSet || sc.md5.IsSet {
				return conf.Errorf("\"secure_link_secret\" cannot be mixed with \"secure_link\" and \"secure_link_md5\"")
			}
			return nil
		}
		sc.link.Merge(p.link, nil)
		sc.md5.Merge(p.md5, nil)
		if sc.link.V == nil && sc.md5.V == nil {
			sc.secret = p.secret
		}
		return nil
	},
}

func init() {
	secureLinkModule.Preconfiguration = func(cf *conf.Conf) error {
		err := AddVariable(cf, Variable{Name: "secure_link", Get: secureLink,
			Doc: "with secure_link_md5: 1 for a right link, 0 for one that has expired, else empty; with secure_link_secret the part of the URI behind the hash"})
		if err != nil {
			return err
		}
		return AddVariable(cf, Variable{Name: "secure_link_expires", Get: func(r *Request, dst []byte, _ string) ([]byte, bool) {
			text, ok := r.Ctx[secureLinkModule.Index].(string)
			return append(dst, text...), ok
		}, Doc: "time of expiry of the link that $secure_link has looked at"})
	}
	secureLinkModule.Commands = []conf.Command{
		loc("secure_link", conf.Take1, setScript(func(c *secureLinkConf) *conf.Setting[*Script] { return &c.link }),
			"The hash of a link in the base64 of URLs, and behind a comma when it expires, in seconds since the epoch."),
		loc("secure_link_md5", conf.Take1, setScript(func(c *secureLinkConf) *conf.Setting[*Script] { return &c.md5 }),
			"The text whose MD5 the hash of a link must be."),
		loc("secure_link_secret", conf.Take1, conf.SetStr(func(c *secureLinkConf) *conf.Setting[string] { return &c.secret }),
			"The secret of links /prefix/hash/link, where the hash is the MD5, in hexadecimal, of link and secret."),
	}
}

func secureLink(r *Request, dst []byte, _ string) ([]byte, bool) {
	sc := r.LocCtx[secureLinkModule.Index].(*secureLinkConf)
	switch {
	case sc.secret.IsSet:
		return secretLink(r, dst, sc.secret.V)
	case sc.link.V == nil || sc.md5.V == nil:
		return dst, false
	}
	link, until, timed := bytes.Cut(sc.link.V.AppendTo(r, nil), []byte{','})
	expires := int64(0)
	if timed {
		var err error
		if expires, err = strconv.ParseInt(string(until), 10, 64); err != nil || expires <= 0 || until[0] == '+' {
			return dst, false
		}
		r.Ctx[secureLinkModule.Index] = string(until)
	}
	if len(link) > 24 {
		return dst, false
	}
	hash, ok := urlBase64.appendDecoded(nil, link)
	sum := md5.Sum(sc.md5.V.AppendTo(r, nil))
	if !ok || subtle.ConstantTimeCompare(hash, sum[:]) != 1 {
		return dst, false
	}
	if timed && expires < r.Loop().Now().Unix() {
		return append(dst, '0'), true
	}
	return append(dst, '1'), true
}

// secretLink is the value of $secure_link with secure_link_secret.
func secretLink(r *Request, dst []byte, secret string) ([]byte, bool) {
	uri := r.UnparsedURI
	if len(uri) == 0 {
		return dst, false
	}
	_, rest, _ := bytes.Cut(uri[1:], []byte{'/'})
	hash, link, _ := bytes.Cut(rest, []byte{'/'})
	if len(hash) != 2*md5.Size || len(link) == 0 {
		return dst, false
	}
	want, err := hex.DecodeString(string(hash))
	sum := md5.Sum(append(bytes.Clone(link), secret...))
	if err != nil || subtle.ConstantTimeCompare(want, sum[:]) != 1 {
		return dst, false
	}
	return append(dst, link...), true
}
