package http

import (
	"bytes"
	"strings"

	"perilune/conf"
	"perilune/logging"
)

// refererConf is the referer module's struct of a location.
type refererConf struct {
	given       bool // there is a valid_referers directive
	none        bool
	blocked     bool
	serverNames bool

	names       ServerNames[string] // with the beginning of the path, empty: any
	named       bool
	regex       []*Regex // of what follows the scheme
	serverRegex []*Regex // of the host

	hashMax, hashBucket conf.Setting[int]
}

var refererModule = &conf.Module{
	Name:      "http_referer",
	Kind:      conf.HTTPKind,
	CreateLoc: func(*conf.Conf) any { return &refererConf{} },
	MergeLoc: func(cf *conf.Conf, prev, c any) error {
		p, rc := prev.(*refererConf), c.(*refererConf)
		if !rc.given {
			*rc = *p
			return nil
		}
		return rc.finish(cf)
	},
}

func init() {
	refererModule.Preconfiguration = func(cf *conf.Conf) error {
		return AddComputed(cf, "invalid_referer", "1 unless valid_referers allows the Referer header", true, invalidReferer)
	}
	number := func(name string, f func(*refererConf) *conf.Setting[int]) conf.Command {
		return conf.Command{Name: name, Ctx: conf.Server | conf.Location, Args: conf.Take1, Level: conf.LocConf, Set: conf.SetNum(f),
			Doc: "Checked and otherwise without effect: the table of names has the size that it needs."}
	}
	refererModule.Commands = []conf.Command{
		number("referer_hash_max_size", func(c *refererConf) *conf.Setting[int] { return &c.hashMax }),
		number("referer_hash_bucket_size", func(c *refererConf) *conf.Setting[int] { return &c.hashBucket }),
		{Name: "valid_referers", Ctx: conf.Server | conf.Location, Args: conf.OneMore, Level: conf.LocConf, Set: setValidReferers,
			Doc: "Referer headers for which $invalid_referer is empty: none, blocked (without a scheme), server_names, hosts with wildcards and the beginning of a path, ~regexes."},
	}
}

func setValidReferers(cf *conf.Conf, c any) error {
	rc := c.(*refererConf)
	rc.given = true
	for _, text := range cf.Args[1:] {
		switch {
		case text == "":
			return conf.Errorf("invalid referer \"%s\"", text)
		case text == "none":
			rc.none = true
		case text == "blocked":
			rc.blocked = true
		case text == "server_names":
			rc.serverNames = true
		case text[0] == '~':
			re, err := refererRegex(text)
			if err != nil {
				return err
			}
			rc.regex = append(rc.regex, re)
		default:
			name, path := text, ""
			if i := strings.IndexByte(text, '/'); i >= 0 {
				name, path = text[:i], text[i:]
			}
			if err := rc.add(name, path); err != nil {
				return err
			}
		}
	}
	return nil
}

// finish adds the names of the server.
func (rc *refererConf) finish(cf *conf.Conf) error {
	if rc.serverNames {
		for _, n := range srvConfOf(cf).Names {
			if n.Regex != nil {
				rc.serverRegex = append(rc.serverRegex, n.Regex.Regex)
			} else if err := rc.add(n.Name, ""); err != nil {
				return err
			}
		}
	}
	if (rc.none || rc.blocked) && !rc.named {
		return conf.PlainErrorf("the \"none\" or \"blocked\" referers are specified in the \"valid_referers\" directive without any valid referer")
	}
	return nil
}

func (rc *refererConf) add(name, path string) error {
	rc.named = true
	switch rc.names.Add(ServerName{Name: strings.ToLower(name)}, path) {
	case NameInvalid:
		return conf.Errorf("invalid hostname or wildcard \"%s\"", name)
	case NameConflict:
		return conf.Errorf("conflicting parameter \"%s\"", name)
	}
	return nil
}

func refererRegex(text string) (*Regex, error) {
	if text == "~" {
		return nil, conf.Errorf("empty regex in \"%s\"", text)
	}
	re, err := CompileRegex(text[1:], true)
	if err != nil {
		return nil, conf.Errorf("regular expression failed: %v", err)
	}
	return re, nil
}

// invalidReferer is the value of $invalid_referer.
func invalidReferer(r *Request) ([]byte, bool) {
	rc := r.LocCtx[refererModule.Index].(*refererConf)
	if rc.valid(r) {
		return nil, true
	}
	return []byte("1"), true
}

func (rc *refererConf) valid(r *Request) bool {
	if !rc.named && rc.regex == nil && rc.serverRegex == nil {
		return true
	}
	h := r.HeadersIn.Get(HeaderReferer)
	if h == nil {
		return rc.none
	}
	rest, hasScheme := cutScheme(h.Value)
	if !hasScheme {
		return rc.blocked
	}
	end := bytes.IndexAny(rest, "/:")
	if end < 0 {
		end = len(rest)
	}
	if end > 256 {
		return false
	}
	host := AppendLower(nil, rest[:end])
	if path, found, _ := rc.names.Find(host, nil); found {
		slash := bytes.IndexByte(rest[end:], '/')
		if slash < 0 {
			return path == ""
		}
		return bytes.HasPrefix(rest[end+slash:], []byte(path))
	}
	return r.matchesAny(rc.serverRegex, host) || r.matchesAny(rc.regex, rest)
}

// cutScheme takes "http://" or "https://" off a referer that is long enough to be one.
func cutScheme(v []byte) ([]byte, bool) {
	if len(v) < len("http://i.ru") {
		return nil, false
	}
	for _, scheme := range []string{"http://", "https://"} {
		if equalFoldASCII(v[:len(scheme)], scheme) {
			return v[len(scheme):], true
		}
	}
	return nil, false
}

func (r *Request) matchesAny(list []*Regex, text []byte) bool {
	for _, re := range list {
		_, ok, err := re.Match(text, nil)
		if err != nil {
			r.Log(logging.Alert, "regular expression \"%s\" on \"%s\": %v", re.Pattern, text, err)
		}
		if ok {
			return true
		}
	}
	return false
}
