package httplua

import (
	"fmt"

	"perilune/conf"
	"perilune/ipc/shm"
	"perilune/luart"
	"perilune/worker/loop"
)

func sharedCommands() []conf.Command {
	return []conf.Command{
		{Name: "lua_shared_dict", Ctx: conf.HTTP, Args: conf.Take2, Level: conf.MainConf, Set: setSharedDict,
			Doc: "a dictionary in memory that all workers share and that outlives reloads and upgrades: name and size; ngx.shared.NAME in Lua"},
	}
}

func setSharedDict(cf *conf.Conf, c any) error {
	m := c.(*mainConf)
	name := cf.Args[1]
	if name == "" {
		return conf.Errorf("invalid lua shared dict name \"%s\"", name)
	}
	size, err := conf.ParseSize(cf.Args[2])
	if err != nil || size < shm.MinSize {
		return conf.Errorf("invalid lua shared dict size \"%s\"", cf.Args[2])
	}
	z, err := cf.SharedZone(name, size, Module)
	if err != nil {
		return err
	}
	if z.Data != nil {
		return conf.Errorf("lua_shared_dict \"%s\" is already defined as \"%s\"", name, z.Name)
	}
	z.Data = m
	m.shared = append(m.shared, z)
	return nil
}

// sharedDicts are the dictionaries of ngx.shared, with the clock of the loop.
func (m *mainConf) sharedDicts(l *loop.Loop) ([]luart.SharedDict, error) {
	now := func() int64 { return l.Now().UnixMilli() }
	var list []luart.SharedDict
	for _, z := range m.shared {
		if z.Memory == nil {
			return nil, fmt.Errorf("the memory of lua_shared_dict \"%s\" is missing", z.Name)
		}
		d := z.Memory.Dict()
		d.Now = now
		list = append(list, luart.SharedDict{Name: z.Name, Dict: d})
	}
	return list, nil
}
