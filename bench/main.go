// Command bench measures perilune beside Debian's nginx with its Lua module:
// the same configuration, one worker each on one core, wrk on another, the
// two in turn. It prints tables and writes bench/RESULTS.md.
//
// It measures both in one run because figures of two runs cannot be compared:
// what counts is the ratio. It is run by `make bench`, which builds
// bin/perilune first, and it never decides whether anything passes.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

type options struct {
	binary   string
	against  string
	cases    *regexp.Regexp
	rounds   int
	duration time.Duration
	spread   bool
	short    bool
	soak     int
	out      string
	libs     string
	torn     int
}

func main() {
	var o options
	var cases string
	flag.StringVar(&o.binary, "binary", "bin/perilune", "the `perilune` to measure")
	flag.StringVar(&o.against, "against", "", "another `perilune` to compare with instead of nginx")
	flag.StringVar(&cases, "cases", "", "only the cases that match the `regexp`")
	flag.IntVar(&o.rounds, "rounds", 5, "rounds of each case; the median counts")
	flag.DurationVar(&o.duration, "duration", 5*time.Second, "length of one measurement")
	flag.BoolVar(&o.spread, "spread", true, "also measure how accepts are spread over workers, and idle connections")
	flag.BoolVar(&o.short, "short", false, "one short round, to see that everything works")
	flag.IntVar(&o.soak, "soak", 0, "instead of the cases, fill a shared dictionary with values of mixed sizes for so many `million` operations")
	flag.StringVar(&o.out, "out", "bench/RESULTS.md", "where the results go, empty for nowhere")
	flag.StringVar(&o.libs, "libs", os.Getenv("PERILUNE_LUA_LIBS"), "a `folder` with a checkout of lua-resty-redis")
	flag.IntVar(&o.torn, "torn", 0, "instead, count torn lines of buffered access logs over so many `requests`")
	flag.Parse()
	if o.short {
		o.rounds, o.duration = 1, time.Second
		o.out = "" // such figures are not worth keeping
	}
	var err error
	if o.cases, err = regexp.Compile(cases); err == nil {
		err = run(&o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(o *options) error {
	binary, err := filepath.Abs(o.binary)
	if err != nil {
		return err
	}
	if o.torn > 0 {
		return runTorn([]program{{name: "perilune", binary: binary}, {name: "nginx", binary: "/usr/sbin/nginx"}}, o.torn)
	}
	if err := install(); err != nil {
		return err
	}
	raiseFileLimit()
	rep := &report{rounds: o.rounds, duration: o.duration}
	if err := rep.machine(binary); err != nil {
		return err
	}
	programs := []program{{name: "perilune", binary: binary}, {name: "nginx", binary: "/usr/sbin/nginx", globals: luaModules}}
	if o.against != "" {
		if programs[1].binary, err = filepath.Abs(o.against); err != nil {
			return err
		}
		programs[1].name, programs[1].globals = "other", ""
	}
	if o.soak > 0 {
		return runSoak(programs, o.soak)
	}
	peers, err := startPeers(o.libs)
	if peers != nil {
		defer peers.stop()
	}
	if err != nil {
		return err
	}
	if err := runCases(o, programs, peers, rep); err != nil {
		return err
	}
	if mean, worst, ok := geometricMean(rep.cases, apiPrefix); ok {
		fmt.Printf("\nCPU over the Lua API: geometric mean %.2f, worst %.2f\n", mean, worst)
	}
	if o.spread {
		if err := runSpread(o, programs, rep); err != nil {
			return err
		}
		if err := runIdle(o, programs, rep); err != nil {
			return err
		}
	}
	if o.out == "" {
		return nil
	}
	return os.WriteFile(o.out, []byte(rep.markdown()), 0o644)
}

// raiseFileLimit allows as many descriptors as the hard limit does, for the
// servers and wrk too, which inherit it.
func raiseFileLimit() {
	var lim unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &lim) == nil {
		lim.Cur = lim.Max
		unix.Setrlimit(unix.RLIMIT_NOFILE, &lim)
	}
}

func runCases(o *options, programs []program, peers *peers, rep *report) error {
	wanted := slices.DeleteFunc(slices.Clone(cases), func(c benchCase) bool { return !o.cases.MatchString(c.name) })
	if len(wanted) == 0 {
		return nil
	}
	running := make(map[int][]*server) // by the number of workers
	defer func() {
		for _, servers := range running {
			for _, s := range servers {
				s.stop()
			}
		}
	}()
	for _, c := range wanted {
		if why := peers.lacks(c); why != "" {
			fmt.Printf("%s: skipped: %s\n", c.name, why)
			continue
		}
		workers, core := 1, serverCore
		if c.workers > 1 {
			workers, core = c.workers, anyCore
		}
		for _, p := range programs[len(running[workers]):] {
			s, err := start(p, configuration, peers, workers, core)
			if err != nil {
				return err
			}
			running[workers] = append(running[workers], s)
		}
		servers := running[workers]
		results := make([][]measurement, len(servers))
		for range o.rounds {
			for i, s := range servers {
				m, err := s.measure(c, o.duration)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", c.name, s.program.name, err)
				}
				results[i] = append(results[i], m)
			}
		}
		rep.addCase(c.name, median(results[0]), median(results[1]))
	}
	return nil
}
