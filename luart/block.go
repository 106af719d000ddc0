package luart

import "perilune/luart/vm"

// block is how the machine makes system calls that may block: the goroutine gives
// the baton away meanwhile. A call that always takes long, such as os.execute, does
// so at once (2.5 µs); any other one if it takes more than some milliseconds, and
// costs 6 ns if it does not, where writing a line to a file takes 1 to 2 µs.
//
// Others may run where ngx_lua allows code to wait. In the other phases, init and
// log among them, code runs without anybody between, as it does there.
func (rt *Runtime) block(t *vm.Thread, how vm.Blocking, f func()) error {
	c := context(t)
	waits := c != nil && c.phase&phasesYieldable != 0
	if how != vm.WaitsForThread && !waits {
		f()
		return nil
	}
	var m waitMark
	if c != nil {
		m = waitMark{c.current(t), c.phase, c.chunk}
	}
	if how != vm.MayBlock {
		rt.cfg.Loop.Block(f)
	} else if !rt.cfg.Loop.Lend(f) {
		return nil
	}
	if c == nil {
		rt.resumed(c)
		return nil
	}
	c.phase, c.chunk = m.phase, m.chunk
	rt.resumed(c)
	if m.u != nil && m.u.killed {
		return errKilled
	}
	return nil
}
