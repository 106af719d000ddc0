package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// What becomes of the lines of an access log with buffer= that several workers write, in a file, in a FIFO, and on a
// disk that is full for a while: how many are whole, how many of the rest are halves on lines of their own, how many
// have been mixed or have grown together with others, and how many the server says that it has lost.

const (
	tornWorkers = 4
	tornClients = 16
	tornLine    = 3000 // the longest filler
)

func tornConfiguration(path string) string {
	return `
events { worker_connections 1000; }
http {
	access_log off;
	large_client_header_buffers 4 32k;
	keepalive_requests 1000000000;
	log_format torn '$args';
	server {
		listen 127.0.0.1:PORT;
		location = /return { return 200 x; }
		location = /log { access_log ` + path + ` torn buffer=32k; return 200 x; }
	}
}
`
}

// tornCase is where the log is.
type tornCase struct {
	name  string
	setup func(dir string) (tornLog, error)
}

// tornLog is a log that is written: its path, what is done when half of the requests have been made, and how to get all
// that was written. skip says why there is none.
type tornLog struct {
	path   string
	half   func() error
	read   func() ([]byte, error)
	remove func()
	skip   string
}

var tornCases = []tornCase{{"a file", tornFile}, {"a FIFO whose reader is slow", tornFIFO}, {"a disk that is full for a while", tornDisk}}

// runTorn makes the same requests of each program for each kind of log.
func runTorn(programs []program, requests int) error {
	fmt.Printf("%-33s %-9s %9s %9s %9s %9s %9s %9s\n", "access_log with buffer=32k, in", "program", "requests", "whole", "half", "mixed", "missing", "counted")
	for _, c := range tornCases {
		for _, p := range programs {
			if _, err := os.Stat(p.binary); err != nil {
				fmt.Printf("%-33s %-9s skipped: %s is not installed\n", c.name, p.name, p.binary)
				continue
			}
			if err := runTornCase(&c, p, requests); err != nil {
				return fmt.Errorf("%s, %s: %w", c.name, p.name, err)
			}
		}
	}
	return nil
}

func runTornCase(c *tornCase, p program, requests int) error {
	dir, err := os.MkdirTemp("", "perilune-torn-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	log, err := c.setup(dir)
	if err != nil {
		return err
	}
	if log.skip != "" {
		fmt.Printf("%-33s %-9s skipped: %s\n", c.name, p.name, log.skip)
		return nil
	}
	if log.remove != nil {
		defer log.remove()
	}
	s, err := start(p, tornConfiguration(log.path), nil, tornWorkers, anyCore)
	if err != nil {
		return err
	}
	defer s.stop()
	if err := s.tornLoad(requests, log.half); err != nil {
		return err
	}
	// The workers write what they hold back when the logs are reopened.
	if err := s.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		return err
	}
	text, err := settled(log.read)
	if err != nil {
		return err
	}
	whole, half, mixed := tornLines(text)
	fmt.Printf("%-33s %-9s %9d %9d %9d %9d %9d %9s\n", c.name, p.name, requests, whole, half, mixed, requests-whole, s.lostLines(log.path))
	return nil
}

// lostLines is what the server itself says of a log.
func (s *server) lostLines(path string) string {
	out, err := exec.Command(s.program.binary, "-p", s.dir, "-c", "conf/nginx.conf", "-s", "status-json").Output()
	var r struct {
		Logs []struct {
			Path string
			Lost int
		}
	}
	if err != nil || json.Unmarshal(out, &r) != nil {
		return "-"
	}
	for _, l := range r.Logs {
		if l.Path == path {
			return strconv.Itoa(l.Lost)
		}
	}
	return "0"
}

// tornLoad makes requests whose arguments have a checksum.
func (s *server) tornLoad(requests int, half func() error) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make(chan error, tornClients+1)
	filler := strings.Repeat("abcdefghijklmnopqrstuvwxyz", tornLine/26+1)
	for range tornClients {
		wg.Go(func() {
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for {
				n := int(next.Add(1)) - 1
				if n >= requests {
					return
				}
				if n == requests/2 && half != nil {
					if err := half(); err != nil {
						errs <- err
						return
					}
				}
				body := strconv.Itoa(n) + "." + filler[:n*7919%tornLine]
				r, err := client.Get(fmt.Sprintf("http://%s/log?%s.%08x", s.addr, body, crc32.ChecksumIEEE([]byte(body))))
				if err != nil {
					errs <- err
					return
				}
				_, _ = io.Copy(io.Discard, r.Body)
				_ = r.Body.Close()
			}
		})
	}
	wg.Wait()
	close(errs)
	return <-errs
}

// settled reads until no more comes for a second.
func settled(read func() ([]byte, error)) ([]byte, error) {
	last, since := -1, time.Now()
	for {
		text, err := read()
		if err != nil || len(text) == last && time.Since(since) > time.Second {
			return text, err
		}
		if len(text) != last {
			last, since = len(text), time.Now()
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// halfLine is the beginning of a line.
var halfLine = regexp.MustCompile(`^\d+(\.[a-z]*(\.[0-9a-f]{0,8})?)?$`)

// tornLines counts the lines that are whole, halves, and those that have grown together.
func tornLines(text []byte) (whole, half, mixed int) {
	seen := map[string]bool{}
	for line := range bytes.Lines(text) {
		body, ok := bytes.CutSuffix(line, []byte("\n"))
		at := bytes.LastIndexByte(body, '.')
		switch {
		case len(body) == 0:
		case ok && at > 0 && !seen[string(body)] && fmt.Sprintf("%08x", crc32.ChecksumIEEE(body[:at])) == string(body[at+1:]):
			seen[string(body)] = true
			whole++
		case halfLine.Match(body):
			half++
		default:
			mixed++
		}
	}
	return whole, half, mixed
}

func tornFile(dir string) (tornLog, error) {
	path := filepath.Join(dir, "log")
	return tornLog{path: path, read: func() ([]byte, error) { return os.ReadFile(path) }}, os.Chmod(dir, 0o755)
}

func tornFIFO(dir string) (tornLog, error) {
	path := filepath.Join(dir, "log")
	if err := unix.Mkfifo(path, 0o666); err != nil {
		return tornLog{}, err
	}
	// Opened for both, so that it has no end while the workers open it anew.
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return tornLog{}, err
	}
	var mu sync.Mutex
	var all []byte
	go func() {
		b := make([]byte, 16<<10)
		for {
			n, err := f.Read(b)
			if err != nil {
				return
			}
			mu.Lock()
			all = append(all, b[:n]...)
			mu.Unlock()
			time.Sleep(2 * time.Millisecond)
		}
	}()
	return tornLog{path: path, remove: func() { _ = f.Close() }, read: func() ([]byte, error) {
		mu.Lock()
		defer mu.Unlock()
		return bytes.Clone(all), nil
	}}, os.Chmod(dir, 0o755)
}

// tornDisk is full from the beginning but for 1 MiB, and has room again when half of the requests have been made.
func tornDisk(dir string) (tornLog, error) {
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0755,size=40m"); err != nil {
		if errors.Is(err, unix.EPERM) {
			return tornLog{skip: "only root can mount a disk"}, nil
		}
		return tornLog{}, err
	}
	path, ballast := filepath.Join(dir, "log"), filepath.Join(dir, "ballast")
	log := tornLog{path: path, half: func() error { return os.Remove(ballast) }, remove: func() { _ = unix.Unmount(dir, unix.MNT_DETACH) },
		read: func() ([]byte, error) { return os.ReadFile(path) }}
	if err := os.WriteFile(ballast, make([]byte, 39<<20), 0o600); err != nil {
		log.remove()
		return tornLog{}, err
	}
	return log, nil
}
