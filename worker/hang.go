package worker

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"perilune/conf"
	"perilune/ipc"
	"perilune/logging"
)

// mostStacks is the most that is kept of the stacks of all goroutines.
const mostStacks = 256 << 10

// stacks is what all goroutines do, those that run loops over Lua code included: the runtime interrupts them.
func stacks() string {
	buf := make([]byte, mostStacks)
	return strings.TrimRight(string(buf[:runtime.Stack(buf, true)]), "\n")
}

// dump logs the stacks line by line, for a line of the log has a limit. It runs in a goroutine that the loop cannot stop.
func (p *process) dump() {
	p.log.Log(logging.Alert, 0, "the event loop stands still")
	if p.hooks.Traceback != nil {
		select {
		case text := <-p.hooks.Traceback(p.srv):
			p.logLines("Lua: ", text)
		case <-time.After(answerTime):
			p.log.Log(logging.Alert, 0, "no Lua code answers: it does not run, or has called a function that takes long")
		}
	}
	p.logLines("stack: ", stacks())
}

// answerTime is how long Lua code that runs has for its traceback.
const answerTime = 500 * time.Millisecond

func (p *process) logLines(prefix, text string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			p.log.Log(logging.Alert, 0, prefix+line)
		}
	}
}

// dumped answers the master.
func (p *process) dumped() {
	p.dump()
	_ = p.conn.Send(&ipc.Message{Type: ipc.Dumped})
}

// watchInterval is how often a worker without a master looks after its own loop.
const watchInterval = time.Second

// killGrace is what a worker without a master gets beyond worker_shutdown_timeout.
const killGrace = 5 * time.Second

// watchAlone takes the master's part when there is none: it ends the process when its loop stands still, or goes on for longer
// than worker_shutdown_timeout allows. It does not return.
func (p *process) watchAlone() {
	var turned atomic.Int64 // when the loop last took what was posted
	start := time.Now()
	hang, shutdown := p.cycle.CoreConf().HangTimeout.V, p.cycle.CoreConf().ShutdownTimeout.V
	last, fair := start, start
	stuck := false
	turn := func() { turned.Store(int64(time.Since(start))) }
	p.loop.Post(turn)
	for now := range time.Tick(watchInterval) {
		// What the whole process has missed is not the loop's fault.
		if late := now.Sub(last) - 2*watchInterval; late > 0 {
			fair = now
		}
		last = now
		if turned.Load() == 0 && !stuck {
			stuck = true
			p.leaveSockets()
		}
		p.loop.Post(turn)
		seen := start.Add(time.Duration(turned.Load()))
		if hang > 0 && min(now.Sub(seen), now.Sub(fair)) > hang {
			p.dump()
			p.die("it stands still and has no master")
		}
		if shutdown > 0 && now.Sub(start) > shutdown+killGrace {
			p.die("it did not end within worker_shutdown_timeout and has no master")
		}
	}
}

// leaveSockets lets go of the listen sockets under a loop that stands still, so that a new master finds the addresses free. The
// numbers stay in use: the loop, should it go on, closes them.
func (p *process) leaveSockets() {
	null, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(null)
	p.sockets.Lock()
	defer p.sockets.Unlock()
	for _, ls := range p.cycle.Listening {
		for _, fd := range ls.FDs {
			_ = unix.Dup3(null, fd, unix.O_CLOEXEC)
		}
	}
}

func (p *process) die(why string) {
	p.log.Logf(logging.Alert, 0, "killing worker process %d: %s", os.Getpid(), why)
	_ = unix.Kill(os.Getpid(), syscall.SIGKILL)
}

// setOOMScore tells the kernel how much this process is worth when memory is short.
func setOOMScore(c *conf.CoreConf, log *logging.Log) {
	adj := c.OOMScoreAdj
	if !adj.IsSet {
		return
	}
	const file = "/proc/self/oom_score_adj"
	if err := os.WriteFile(file, fmt.Append(nil, adj.V), 0); err != nil {
		log.LogErr(logging.Alert, 0, err, fmt.Sprintf("write of %d to \"%s\" failed", adj.V, file))
	}
}
