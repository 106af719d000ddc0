// Command lua measures perilune's Lua machine side by side with lua5.1,
// luajit, luajit -joff and gopher-lua: CPU time and peak memory of each program
// in programs/, as ratios to lua5.1 in the same run.
//
//	go run ./bench/lua [-rounds 5] [-o bench/LUA.md] [-programs fib,sort] [bin/perilune]
package main

import (
	"bytes"
	"flag"
	"fmt"
	"log"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// engine is one way to run a Lua file.
type engine struct {
	name string
	argv []string
}

// sample is what one run of a program cost.
type sample struct {
	cpu    time.Duration // user + system time
	maxrss int64         // bytes
}

const (
	ours      = "perilune"
	reference = "lua5.1"
)

func main() {
	log.SetFlags(0)
	rounds := flag.Int("rounds", 5, "runs of each program on each engine; the median counts")
	output := flag.String("o", "", "write the table to this `file` as well")
	only := flag.String("programs", "", "comma-separated `names` (all by default)")
	dir := flag.String("dir", "bench/lua/programs", "where the programs are")
	flag.Parse()
	binary := "bin/perilune"
	if flag.NArg() > 0 {
		binary = flag.Arg(0)
	}
	engines, cleanup := findEngines(binary)
	defer cleanup()
	files, err := filepath.Glob(filepath.Join(*dir, "*.lua"))
	if err != nil || len(files) == 0 {
		log.Fatalf("no programs in %s", *dir)
	}
	var table bytes.Buffer
	fmt.Fprintf(&table, "| program | %s s | MiB |", reference)
	for _, e := range engines[1:] {
		fmt.Fprintf(&table, " %s | MiB |", e.name)
	}
	fmt.Fprintf(&table, "\n|---|--:|--:|%s\n", strings.Repeat("--:|--:|", len(engines)-1))
	logs, ran := make([]float64, len(engines)), make([]int, len(engines))
	worst, worstName := 0.0, ""
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".lua")
		if *only != "" && !slices.Contains(strings.Split(*only, ","), name) {
			continue
		}
		samples := measure(engines, file, *rounds)
		base := samples[0]
		row := fmt.Sprintf("| %s | %.3f | %.1f |", name, base.cpu.Seconds(), mib(base.maxrss))
		for i, s := range samples[1:] {
			if s.cpu == 0 {
				row += " failed | |"
				continue
			}
			ratio := float64(s.cpu) / float64(base.cpu)
			logs[i+1] += math.Log(ratio)
			ran[i+1]++
			row += fmt.Sprintf(" %.2f | %.1f |", ratio, mib(s.maxrss))
			if engines[i+1].name == ours && ratio > worst {
				worst, worstName = ratio, name
			}
		}
		fmt.Println(row)
		fmt.Fprintln(&table, row)
	}
	row := "| **geometric mean** | 1 | |"
	for i := range engines[1:] {
		row += fmt.Sprintf(" **%.2f** | |", math.Exp(logs[i+1]/float64(ran[i+1])))
	}
	fmt.Println(row)
	fmt.Fprintln(&table, row)
	fmt.Printf("worst program of %s: %s, %.2f\n", ours, worstName, worst)
	if *output != "" {
		writeReport(*output, *rounds, table.Bytes(), worstName, worst)
	}
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

// findEngines lists what is there; lua5.1 comes first, the base of the ratios.
func findEngines(binary string) ([]engine, func()) {
	if _, err := exec.LookPath(reference); err != nil {
		log.Fatalf("%s is the base of all ratios: %v (apt-get install lua5.1)", reference, err)
	}
	tmp, err := os.MkdirTemp("", "bench-lua")
	if err != nil {
		log.Fatal(err)
	}
	gopher := filepath.Join(tmp, "gopher")
	if out, err := exec.Command("go", "build", "-o", gopher, "./bench/lua/gopher").CombinedOutput(); err != nil {
		log.Fatalf("building the gopher-lua runner: %v\n%s", err, out)
	}
	engines := []engine{
		{reference, []string{reference}},
		{ours, []string{binary, "lua"}},
	}
	if _, err := exec.LookPath("luajit"); err == nil {
		engines = append(engines, engine{"luajit -joff", []string{"luajit", "-joff"}}, engine{"luajit", []string{"luajit"}})
	}
	engines = append(engines, engine{"gopher-lua", []string{gopher}})
	return engines, func() { os.RemoveAll(tmp) }
}

// measure runs file on the engines in turn and returns each one's median. An
// engine that fails, or prints something else than the reference, gets a zero.
func measure(engines []engine, file string, rounds int) []sample {
	all := make([][]sample, len(engines))
	var want []byte
	for range rounds {
		for i, e := range engines {
			out, s, err := run(e, file)
			if i == 0 && want == nil {
				want = out
			}
			if err != nil || !bytes.Equal(out, want) {
				fmt.Fprintf(os.Stderr, "%s on %s: %v: %.200q\n", file, e.name, err, out)
				s = sample{}
			}
			all[i] = append(all[i], s)
		}
	}
	medians := make([]sample, len(engines))
	for i, s := range all {
		slices.SortFunc(s, func(a, b sample) int { return int(a.cpu - b.cpu) })
		medians[i] = s[len(s)/2]
	}
	return medians
}

func run(e engine, file string) ([]byte, sample, error) {
	cmd := exec.Command(e.argv[0], append(slices.Clone(e.argv[1:]), file)...)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	err := cmd.Run()
	if err != nil {
		return stderr.Bytes(), sample{}, err
	}
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	return out.Bytes(), sample{
		cpu:    cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(),
		maxrss: usage.Maxrss << 10,
	}, nil
}

func writeReport(path string, rounds int, table []byte, worstName string, worst float64) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# The Lua machine, measured\n\nWritten by `make bench-lua`. CPU time (user + system, all threads, start of the process included) as\n"+
		"ratios to %s's in the same run, median of %d rounds; peak resident memory in MiB\n(never below what the runner itself has, some 7 MiB at the end). Below 1 is faster than %s. A mean leaves out programs that\nfailed on the engine.\n\n", reference, rounds, reference)
	b.Write(table)
	fmt.Fprintf(&b, "\nWorst program of %s: %s at %.2f.\n", ours, worstName, worst)
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		log.Fatal(err)
	}
}
