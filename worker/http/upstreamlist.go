package http

import (
	"perilune/conf"
	"perilune/logging"
)

// setMiscMain is the set-misc module's struct of the http block.
type setMiscMain struct {
	lists map[string][]string // of upstream_list
}

func setMiscMainOf(ctx *conf.Ctx) *setMiscMain { return ctx.Main[setMiscModule.Index].(*setMiscMain) }

// setUpstreamList handles upstream_list.
func setUpstreamList(cf *conf.Conf, _ any) error {
	m, name := setMiscMainOf(cf.Ctx), cf.Args[1]
	if _, found := m.lists[name]; found {
		return conf.Errorf("duplicate upstream list name \"%s\"", name)
	}
	m.lists[name] = cf.Args[2:]
	return nil
}

const noUpstreamList = "set_hashed_upstream: upstream list \"%s\" not defined yet"

// checkUpstreamList complains of a list that is not there, unless its name is known only at run time.
func checkUpstreamList(cf *conf.Conf) error {
	name := cf.Args[2]
	if _, found := setMiscMainOf(cf.Ctx).lists[name]; !found && !HasVariables(name) {
		return conf.PlainErrorf(noUpstreamList, name)
	}
	return nil
}

// setHashedUpstream chooses an entry of a list by the hash of a key.
func setHashedUpstream(r *Request, dst []byte, v [][]byte) ([]byte, bool) {
	list, found := setMiscMainOf(r.Srv.Ctx).lists[string(v[0])]
	if !found {
		r.Log(logging.Error, noUpstreamList, v[0])
		return dst, false
	}
	var hash uint32
	for _, c := range v[1] {
		hash = hash*31 + uint32(lowerByte(c))
	}
	return append(dst, list[hash%uint32(len(list))]...), true
}
