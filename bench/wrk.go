package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"time"
)

// measurement is what one run of wrk against one server gave.
type measurement struct {
	cpu      float64 // microseconds of the worker a request
	rate     float64 // requests a second
	p50, p99 float64 // microseconds
	rss      float64 // MiB after the run
}

// fields are the parts of a measurement, for the median.
func (m *measurement) fields() []*float64 { return []*float64{&m.cpu, &m.rate, &m.p50, &m.p99, &m.rss} }

// median returns the median of each field by itself.
func median(all []measurement) measurement {
	var out measurement
	for i, f := range out.fields() {
		values := make([]float64, len(all))
		for j := range all {
			values[j] = *all[j].fields()[i]
		}
		sort.Float64s(values)
		n := len(values)
		*f = (values[(n-1)/2] + values[n/2]) / 2
	}
	return out
}

// measure runs wrk against the server. A short run before it lets the
// connections be made and the memory grow.
func (s *server) measure(c benchCase, d time.Duration) (measurement, error) {
	var m measurement
	if _, err := s.wrk(c, max(time.Second, d/5)); err != nil {
		return m, err
	}
	before, err := s.cpuTime()
	if err != nil {
		return m, err
	}
	out, err := s.wrk(c, d)
	if err != nil {
		return m, err
	}
	after, err := s.cpuTime()
	if err != nil {
		return m, err
	}
	rss, err := residentKiB(s.workers[0])
	if err != nil {
		return m, err
	}
	m = measurement{
		cpu:  float64((after - before).Microseconds()) / float64(out.requests),
		rate: out.rate, p50: out.p50, p99: out.p99, rss: float64(rss) / 1024,
	}
	return m, nil
}

// cpuTime is the processor time that all workers have used.
func (s *server) cpuTime() (sum time.Duration, err error) {
	for _, pid := range s.workers {
		t, e := cpuTime(pid)
		sum, err = sum+t, errors.Join(err, e)
	}
	return sum, err
}

type wrkOutput struct {
	requests       int
	rate, p50, p99 float64
}

var (
	wrkRequests = regexp.MustCompile(`(\d+) requests in `)
	wrkRate     = regexp.MustCompile(`Requests/sec:\s+([\d.]+)`)
	wrkP50      = regexp.MustCompile(`\n\s+50%\s+([\d.]+)(us|ms|s|m)\s`)
	wrkP99      = regexp.MustCompile(`\n\s+99%\s+([\d.]+)(us|ms|s|m)\s`)
	wrkErrors   = regexp.MustCompile(`Socket errors: .*`)
	wrkStatus   = regexp.MustCompile(`Non-2xx or 3xx responses: (\d+)`)
)

func (s *server) wrk(c benchCase, d time.Duration) (wrkOutput, error) {
	args := []string{"-c", strconv.Itoa(loadCore), "wrk", "-t1", "--latency", "--timeout", "30s", "-c", strconv.Itoa(c.connections),
		"-d", fmt.Sprintf("%ds", int(d.Seconds()+0.5))}
	if c.script != "" {
		path := filepath.Join(s.dir, "wrk.lua")
		if err := os.WriteFile(path, []byte(c.script), 0o644); err != nil {
			return wrkOutput{}, err
		}
		args = append(args, "-s", path)
	}
	b, err := exec.Command("taskset", append(args, "http://"+s.addr+c.path)...).CombinedOutput()
	if err != nil {
		return wrkOutput{}, fmt.Errorf("wrk: %w\n%s", err, b)
	}
	return parseWrk(string(b), c.anyStatus)
}

func parseWrk(text string, anyStatus bool) (out wrkOutput, err error) {
	if m := wrkStatus.FindString(text); m != "" && !anyStatus {
		return out, errors.New(m)
	}
	if m := wrkErrors.FindString(text); m != "" {
		return out, errors.New(m)
	}
	number := func(re *regexp.Regexp) float64 {
		m := re.FindStringSubmatch(text)
		if m == nil {
			err = fmt.Errorf("wrk said\n%s", text)
			return 0
		}
		v, _ := strconv.ParseFloat(m[1], 64)
		if len(m) > 2 {
			v *= map[string]float64{"us": 1, "ms": 1e3, "s": 1e6, "m": 60e6}[m[2]]
		}
		return v
	}
	out = wrkOutput{requests: int(number(wrkRequests)), rate: number(wrkRate), p50: number(wrkP50), p99: number(wrkP99)}
	return out, err
}
