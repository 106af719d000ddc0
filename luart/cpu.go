package luart

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"perilune/luart/vm"
)

// check stops a script that has used more CPU time than its location allows since
// it last got the baton.
func (l *cpuLimit) check(t *vm.Thread) error {
	c := context(t)
	if c == nil || c.settings == nil || c.settings.CPULimit == 0 {
		return nil
	}
	now := cpuTime()
	if !l.armed {
		l.armed, l.start = true, now
		return nil
	}
	if now-l.start < c.settings.CPULimit {
		return nil
	}
	l.tripped = true
	return fmt.Errorf("CPU time limit of %s exceeded", c.settings.CPULimit)
}

// waited reports whether others may have run since c's code ran, and notes that it
// runs.
func (l *cpuLimit) waited(c *Ctx, turn uint64) bool {
	same := l.owner == c && l.turn == turn
	l.owner, l.turn = c, turn
	return !same
}

// cpuTime is the CPU time of the process. The baton moves from one kernel thread
// to another, so that a thread's own clock would not do; while Lua code runs, the
// process does little else.
func cpuTime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}
