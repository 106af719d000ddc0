package worker

import (
	"errors"
	"os"
	"os/signal"
	"syscall"

	"perilune/conf"
	"perilune/ipc/shm"
	"perilune/logging"
)

// Console is the engine and the loop around a program that serves nobody. The program is what holds the loop's baton.
type Console struct{ *engine }

// NewConsole brings the engine up and runs its hooks. What goes wrong is logged.
func NewConsole(cycle *conf.Cycle, log *logging.Log, hooks *Hooks) (*Console, error) {
	err := prepareConsole(cycle, log)
	var e *engine
	if err == nil {
		e, err = newEngine(cycle, log, hooks, 0, 1)
	}
	if err != nil {
		log.Log(logging.Emerg, 0, err.Error())
		return nil, err
	}
	c := &Console{e}
	e.info.quit = c.quitSoon
	e.over = e.loop.Stop
	e.srv.Hold() // until the program has ended
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGQUIT, syscall.SIGHUP)
	go func() {
		for range stop {
			c.quitSoon()
		}
	}()
	if err := e.init(); err != nil {
		return nil, err
	}
	return c, hooks.InitWorker(e.srv, &e.info)
}

func (c *Console) quitSoon() { c.loop.Post(c.quit) }

// Finish ends the engine. After a success what the program has left (timers, for one) ends as it does in a worker that is told to
// quit; after a failure nothing is waited for.
func (c *Console) Finish(success bool) {
	switch {
	case !success:
		c.end()
	case !c.info.exiting:
		c.quit()
	}
	c.srv.Unhold()
	if err := c.loop.Run(); err != nil {
		c.log.Log(logging.Emerg, 0, err.Error())
	}
	c.leave()
}

// prepareConsole opens what the configuration asks for besides sockets.
func prepareConsole(cycle *conf.Cycle, log *logging.Log) error {
	if len(cycle.Listening) > 0 {
		return errors.New("\"listen\" is not possible here: nobody would accept")
	}
	if err := cycle.CheckZones(); err != nil {
		return err
	}
	for _, z := range cycle.Zones {
		if z.Name == conf.LogZone {
			continue // no other process writes to the logs
		}
		var err error
		if z.Memory, err = shm.Create(z.Name, z.Size); err != nil {
			return err
		}
	}
	limits(cycle.CoreConf(), log)
	return cycle.Files.OpenAll()
}
