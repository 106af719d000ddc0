package luart

import (
	"bytes"
	"os"
	"strings"

	"perilune/luart/vm"
)

// ProvideAPI has open make the ngx API when code that is loaded speaks of it, or
// when a bundled module is required: other programs start without, and sooner.
// open may have the machine's threads run code. A program whose API cannot be made
// ends.
func (s *Script) ProvideAPI(open func(m *vm.VM) (*Runtime, error)) {
	s.open = open
	s.vm.OnLoad = func(source []byte) {
		if bytes.Contains(source, []byte("ngx")) || bytes.Contains(source, []byte("ndk")) {
			s.OpenAPI()
		}
	}
	p, _ := s.vm.Globals().GetStr("package").AsTable()
	loaders, _ := p.GetStr("loaders").AsTable()
	for i := loaders.Len(); i > 0; i-- {
		loaders.SetInt(i+1, loaders.GetInt(i))
	}
	loaders.SetInt(1, s.vm.NewFunction("bundled_loader", func(t *vm.Thread) int {
		if bundled(t.CheckString(1)) {
			s.OpenAPI() // and the next loader finds the module
		}
		t.PushString("")
		return 1
	}))
}

// bundled reports whether a module of that name may come with the API.
func bundled(name string) bool {
	name, _, _ = strings.Cut(name, ".")
	switch name {
	case "ngx", "resty", "cjson", "tablepool":
		return true
	}
	return false
}

// OpenAPI makes the ngx API now.
func (s *Script) OpenAPI() {
	if s.open == nil {
		return
	}
	open := s.open
	s.open, s.vm.OnLoad = nil, nil
	rt, err := open(s.vm)
	if err != nil {
		s.vm.FlushFiles()
		os.Exit(1) // why is in the log
	}
	s.rt = rt
	c := &s.ctx
	c.rt, c.settings = rt, rt.cfg.Settings
	c.log = contextLogger{rt.cfg.Log, ", context: ngx.timer"}
	c.entry.t = s.vm.Main()
	s.vm.SetBudget(interruptUnits, func(t *vm.Thread) error {
		if s.stop.Swap(false) {
			return errInterrupted
		}
		return rt.spent(t)
	})
	interrupt := func() {
		rt.cfg.Loop.Post(func() {
			if s.stop.Swap(false) {
				c.end(&vm.AbortError{Err: errInterrupted})
			}
		})
	}
	s.wake.Store(&interrupt)
}

// interrupt ends the code that runs, or waits.
func (s *Script) interrupt() {
	s.stop.Store(true)
	if wake := s.wake.Load(); wake != nil {
		(*wake)()
	}
}

// ended is the error of a call whose light threads may have ended it.
func (s *Script) ended(err error) error {
	if !s.ctx.ending {
		return err
	}
	err = s.ctx.join(err)
	s.ctx.entry.killed = false
	s.ctx.code++
	return err
}

// Finish waits for the light threads that the program has started, and closes what
// it has left open. It reports whether they ended well.
func (s *Script) Finish() bool {
	c := &s.ctx
	var err error
	if c.running > 0 || c.ending {
		c.entry.state = threadDead
		err = c.join(nil)
		s.report(err)
	}
	c.close()
	return err == nil
}
