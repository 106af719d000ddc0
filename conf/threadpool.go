package conf

import (
	"strconv"
	"strings"
)

// ThreadPool is what thread_pool declares: how many tasks may run at the same time, each on a kernel thread of its own, and
// how many may wait for their turn.
type ThreadPool struct {
	Name     string
	Threads  int
	MaxQueue int
}

// defaultMaxQueue is how many tasks wait in a pool that does not say it.
const defaultMaxQueue = 65536

func setThreadPool(cf *Conf, c any) error {
	core := c.(*CoreConf)
	p := ThreadPool{Name: cf.Args[1], MaxQueue: defaultMaxQueue}
	for _, q := range core.ThreadPools {
		if q.Name == p.Name {
			return Errorf("duplicate thread pool \"%s\"", p.Name)
		}
	}
	for _, arg := range cf.Args[2:] {
		if v, ok := strings.CutPrefix(arg, "threads="); ok {
			n, err := strconv.ParseUint(v, 10, 31)
			if err != nil || n == 0 {
				return Errorf("invalid threads value \"%s\"", arg)
			}
			p.Threads = int(n)
			continue
		}
		v, ok := strings.CutPrefix(arg, "max_queue=")
		if !ok {
			return Errorf("invalid parameter \"%s\"", arg)
		}
		n, err := strconv.ParseUint(v, 10, 31)
		if err != nil {
			return Errorf("invalid max_queue value \"%s\"", arg)
		}
		p.MaxQueue = int(n)
	}
	if p.Threads == 0 {
		return Errorf("\"%s\" must have \"threads\" parameter", cf.Args[0])
	}
	core.ThreadPools = append(core.ThreadPools, p)
	return nil
}
