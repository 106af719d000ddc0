//go:build profile

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"time"
)

// profileDir is set by scripts/pgo, which makes default.pgo: the environment
// of a worker is not that of its master.
var profileDir string

// profileSpan is the length of one profile. What a process does in its last,
// unfinished one is not counted.
const profileSpan = 500 * time.Millisecond

func init() {
	go func() {
		for i := 0; ; i++ {
			f, err := os.Create(filepath.Join(profileDir, fmt.Sprintf("%d.%d", os.Getpid(), i)))
			if err != nil || pprof.StartCPUProfile(f) != nil {
				return
			}
			time.Sleep(profileSpan)
			pprof.StopCPUProfile()
			f.Close()
		}
	}()
}
