package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

const spreadWorkers = 8

func spreadConfiguration(listen string) string {
	return `
worker_rlimit_nofile 20000;
events { worker_connections 10000; }
http {
	access_log off;
	server {
		listen 127.0.0.1:PORT` + listen + `;
		location = /return { return 200 x; }
		location = /pid { return 200 $pid; }
	}
}
`
}

// runSpread measures which share of the connections each of eight workers
// gets, on all cores, of connections one after the other and at once.
func runSpread(o *options, programs []program, rep *report) error {
	sequential, parallel := 5000, 200
	if o.short {
		sequential = 500
	}
	for _, p := range programs {
		for _, listen := range []string{"", " reuseport"} {
			s, err := start(p, spreadConfiguration(listen), nil, spreadWorkers, anyCore)
			if err != nil {
				return err
			}
			one, err := sequentialPids(s.addr, sequential)
			var all map[string]int
			if err == nil {
				all, err = parallelPids(s.addr, parallel)
			}
			s.stop()
			if err != nil {
				return fmt.Errorf("spread, %s%s: %w", p.name, listen, err)
			}
			rep.addSpread(p.name+listen, extremes(one), extremes(all))
		}
	}
	return nil
}

// get asks for a path on a connection of its own.
func get(addr, path string) (string, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"); err != nil {
		return "", err
	}
	return readBody(bufio.NewReader(c))
}

func readBody(r *bufio.Reader) (string, error) {
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %s", resp.Status)
	}
	return strings.TrimSpace(string(b)), err
}

func sequentialPids(addr string, n int) (map[string]int, error) {
	pids := make(map[string]int)
	for range n {
		pid, err := get(addr, "/pid")
		if err != nil {
			return nil, err
		}
		pids[pid]++
	}
	return pids, nil
}

func parallelPids(addr string, n int) (map[string]int, error) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	var failed error
	pids := make(map[string]int)
	for range n {
		wg.Go(func() {
			pid, err := get(addr, "/pid")
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = err
			}
			pids[pid]++
		})
	}
	wg.Wait()
	return pids, failed
}

// extremes returns the counts of the busiest and the idlest worker.
func extremes(pids map[string]int) [2]int {
	most, least := 0, -1
	for _, n := range pids {
		most = max(most, n)
		if least < 0 || n < least {
			least = n
		}
	}
	if len(pids) < spreadWorkers {
		least = 0
	}
	return [2]int{most, least}
}

// runIdle measures the memory of kept connections that wait for their next
// request.
func runIdle(o *options, programs []program, rep *report) error {
	connections := 4000
	if o.short {
		connections = 500
	}
	for _, p := range programs {
		s, err := start(p, spreadConfiguration(" backlog=4096"), nil, 1, anyCore)
		if err != nil {
			return err
		}
		bytes, err := s.idleCost(connections)
		s.stop()
		if err != nil {
			return fmt.Errorf("idle connections, %s: %w", p.name, err)
		}
		rep.addIdle(p.name, connections, bytes)
	}
	return nil
}

// idleCost returns the growth of the worker's resident memory a connection.
func (s *server) idleCost(n int) (float64, error) {
	before, err := residentKiB(s.workers[0])
	if err != nil {
		return 0, err
	}
	for range n {
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			return 0, err
		}
		defer c.Close()
		if _, err := io.WriteString(c, "GET /return HTTP/1.1\r\nHost: bench\r\n\r\n"); err != nil {
			return 0, err
		}
		if _, err := readBody(bufio.NewReader(c)); err != nil {
			return 0, err
		}
	}
	after, err := residentKiB(s.workers[0])
	return float64(after-before) * 1024 / float64(n), err
}
