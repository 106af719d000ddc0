package master

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// signalNames are the signals that a master takes.
var signalNames = map[syscall.Signal]string{
	syscall.SIGHUP:   "SIGHUP",
	syscall.SIGINT:   "SIGINT",
	syscall.SIGQUIT:  "SIGQUIT",
	syscall.SIGTERM:  "SIGTERM",
	syscall.SIGUSR1:  "SIGUSR1",
	syscall.SIGUSR2:  "SIGUSR2",
	syscall.SIGWINCH: "SIGWINCH",
	syscall.SIGCHLD:  "SIGCHLD",
}

// signalName is "1 (SIGHUP)".
func signalName(sig syscall.Signal) string {
	return fmt.Sprintf("%d (%s)", int(sig), signalNames[sig])
}

// catchSignals passes the signals to take, from now on.
func catchSignals(take func(syscall.Signal)) {
	signal.Ignore(syscall.SIGPIPE, syscall.SIGSYS)
	// The channel holds what comes while the configuration is read; of equal signals that are waiting one is enough.
	ch := make(chan os.Signal, 256)
	for sig := range signalNames {
		signal.Notify(ch, sig)
	}
	go func() {
		for sig := range ch {
			take(sig.(syscall.Signal))
		}
	}()
}
