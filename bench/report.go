package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// report collects the results; each is printed as soon as it is there.
type report struct {
	rounds   int
	duration time.Duration
	head     []string
	cases    []caseResult
	spread   []spreadResult
	idle     []idleResult
}

type caseResult struct {
	name        string
	ours, peers measurement
}

type spreadResult struct {
	name          string
	one, parallel [2]int // busiest and idlest worker
}

type idleResult struct {
	name  string
	n     int
	bytes float64
}

// machine notes what is measured and where.
func (r *report) machine(binary string) error {
	for _, p := range []string{binary, "/usr/sbin/nginx"} {
		out, err := exec.Command(p, "-v").CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s -v: %w\n%s", p, err, out)
		}
		line, _, _ := strings.Cut(string(out), "\n")
		r.head = append(r.head, line)
	}
	cpu := "unknown processor"
	b, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(b)) {
		if name, ok := strings.CutPrefix(line, "model name\t: "); ok {
			cpu = strings.TrimSpace(name)
			break
		}
	}
	r.head = append(r.head, fmt.Sprintf("%s, %d cores, %s", cpu, runtime.NumCPU(), runtime.Version()))
	fmt.Println(strings.Join(r.head, "\n"))
	return nil
}

const caseFormat = "%-30s %8.2f %8.2f %6.2f  %8.0f %8.0f %6.2f  %7.0f %7.0f  %8.0f %8.0f  %6.1f %6.1f %6.2f\n"

func (r *report) addCase(name string, ours, peers measurement) {
	if len(r.cases) == 0 {
		fmt.Printf("\n%-30s %24s  %24s  %15s  %17s  %20s\n", "perilune, nginx, ratio", "CPU µs/request", "requests/s",
			"p50 µs", "p99 µs", "RSS MiB")
	}
	r.cases = append(r.cases, caseResult{name, ours, peers})
	fmt.Printf(caseFormat, name, ours.cpu, peers.cpu, ours.cpu/peers.cpu, ours.rate, peers.rate, ours.rate/peers.rate,
		ours.p50, peers.p50, ours.p99, peers.p99, ours.rss, peers.rss, ours.rss/peers.rss)
}

func (r *report) addSpread(name string, one, parallel [2]int) {
	if len(r.spread) == 0 {
		fmt.Printf("\nbusiest/idlest of %d workers   sequential   200 parallel\n", spreadWorkers)
	}
	r.spread = append(r.spread, spreadResult{name, one, parallel})
	fmt.Printf("%-28s %6d/%-6d %6d/%-6d\n", name, one[0], one[1], parallel[0], parallel[1])
}

func (r *report) addIdle(name string, n int, bytes float64) {
	r.idle = append(r.idle, idleResult{name, n, bytes})
	fmt.Printf("%s: %.0f bytes of resident memory for each of %d idle connections\n", name, bytes, n)
}

// markdown is the content of RESULTS.md.
func (r *report) markdown() string {
	var b strings.Builder
	b.WriteString("# perilune beside nginx\n\n`make bench` writes this file. Both programs run the same configuration with one worker on one core, wrk on\n" +
		"another; each case is measured in turn, " + fmt.Sprintf("%d rounds of %v, and the medians stand here.", r.rounds, r.duration) +
		" Only the ratios\n(perilune to nginx) say something; the figures are those of one machine on one day.\n\n")
	for _, line := range r.head {
		b.WriteString("- " + line + "\n")
	}
	if len(r.cases) > 0 {
		b.WriteString("\n50 connections unless the case says otherwise. CPU is the processor time of the worker (user and system).\n\n" +
			"| Case | CPU µs/request | ratio | requests/s | ratio | p50 µs | p99 µs | RSS MiB | ratio |\n|---|---|---|---|---|---|---|---|---|\n")
	}
	for _, c := range r.cases {
		fmt.Fprintf(&b, "| %s | %.2f : %.2f | **%.2f** | %.0f : %.0f | %.2f | %.0f : %.0f | %.0f : %.0f | %.1f : %.1f | %.2f |\n", c.name,
			c.ours.cpu, c.peers.cpu, c.ours.cpu/c.peers.cpu, c.ours.rate, c.peers.rate, c.ours.rate/c.peers.rate,
			c.ours.p50, c.peers.p50, c.ours.p99, c.peers.p99, c.ours.rss, c.peers.rss, c.ours.rss/c.peers.rss)
	}
	if mean, worst, ok := geometricMean(r.cases, apiPrefix); ok {
		fmt.Fprintf(&b, "\nThe ratios of CPU over the Lua API: geometric mean %.2f, worst %.2f.\n", mean, worst)
	}
	if len(r.spread) > 0 {
		fmt.Fprintf(&b, "\n## Accepts over %d workers\n\nConnections of the busiest and of the idlest worker.\n\n"+
			"| Program | one after the other | 200 at once |\n|---|---|---|\n", spreadWorkers)
	}
	for _, s := range r.spread {
		fmt.Fprintf(&b, "| %s | %d / %d | %d / %d |\n", s.name, s.one[0], s.one[1], s.parallel[0], s.parallel[1])
	}
	if len(r.idle) > 0 {
		b.WriteString("\n## Idle connections\n\nGrowth of the worker's resident memory for each kept connection that waits for its next request.\n\n| Program | connections | bytes each |\n|---|---|---|\n")
	}
	for _, i := range r.idle {
		fmt.Fprintf(&b, "| %s | %d | %.0f |\n", i.name, i.n, i.bytes)
	}
	return b.String()
}
