package http

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// startEcho starts an upstream that answers with the request that it got, and otherwise as its argument x says.
func startEcho(t *testing.T) string {
	s := &scripted{t: t}
	s.listen(func(c *net.TCPConn) {
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		r := bufio.NewReader(c)
		for answerEcho(c, r) {
		}
	})
	return s.addr
}

var echoArg = regexp.MustCompile(`[?&]x=(\w+)`)

// answerEcho answers one request. It reports whether the connection may be used for another one.
func answerEcho(w io.Writer, r *bufio.Reader) bool {
	head, length := "", 0
	chunked := false
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return false
		}
		head += line
		if line == "\r\n" {
			break
		}
		name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(line)), ": ")
		switch name {
		case "content-length":
			length, _ = strconv.Atoi(value)
		case "transfer-encoding":
			chunked = true
		}
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(r, body); err != nil {
		return false
	}
	if chunked {
		for !strings.HasSuffix(string(body), "0\r\n\r\n") {
			c, err := r.ReadByte()
			if err != nil {
				return false
			}
			body = append(body, c)
		}
	}
	status, more, text := "200 OK", "", head+string(body)
	x := ""
	if m := echoArg.FindStringSubmatch(head); m != nil {
		x = m[1]
	}
	switch x {
	case "accel":
		more = "X-Accel-Redirect: /b.txt?z\r\nX-Other: 1\r\n"
	case "404", "500", "304", "401":
		status = x + " Status"
	case "loc":
		status, more = "302 Found", "Location: http://up.example/there\r\n"
	case "cookie":
		more = "Set-Cookie: a=b; path=/x; domain=up\r\nSet-Cookie: c=d\r\n"
	case "etag":
		more = "ETag: \"e\"\r\nLast-Modified: Tue, 14 Nov 2023 22:13:20 GMT\r\nAccept-Ranges: bytes\r\n"
	case "type":
		more = "Content-Type: text/html; charset=koi8-r\r\n"
	case "closes":
		return false
	case "empty":
		text = ""
	}
	if x != "type" {
		more += "Content-Type: text/plain\r\n"
	}
	coding := fmt.Sprintf("Content-Length: %d\r\n", len(text))
	if x == "chunked" && strings.Contains(head, " HTTP/1.1\r\n") {
		coding = "Transfer-Encoding: chunked\r\n"
		text = fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(text), text)
	}
	if strings.HasPrefix(head, "HEAD ") || x == "304" {
		text = ""
	}
	_, err := io.WriteString(w, "HTTP/1.1 "+status+"\r\nServer: up\r\nX-Up: 1\r\n"+more+coding+"\r\n"+text)
	return err == nil
}

var gzipBody = regexp.MustCompile(`(?s)\r\nContent-Encoding: gzip.*?\r\n\r\n`)

// unzipped shows an answer with its first body decompressed.
func unzipped(answer string) string {
	at := gzipBody.FindStringIndex(answer)
	if at == nil {
		return answer
	}
	body := answer[at[1]:]
	z, err := gzip.NewReader(strings.NewReader(body))
	if err != nil {
		return answer
	}
	z.Multistream(false)
	data, err := io.ReadAll(z)
	return fmt.Sprint(answer[:at[1]], string(data), err)
}

var nextAnswer = regexp.MustCompile(`HTTP/1\.[01] \d\d\d `)

// shownRandom shows each of the answers of a connection with its body in one piece and decompressed.
func shownRandom(answers string) string {
	all := ""
	begins := append(nextAnswer.FindAllStringIndex(answers, -1), []int{len(answers)})
	if len(begins) == 1 || begins[0][0] != 0 {
		return plain(answers)
	}
	for i, at := range begins[:len(begins)-1] {
		all += plain(unzipped(joinChunks(answers[at[0]:begins[i+1][0]])))
	}
	return all
}

// randomConfigs is how many configurations are made up: PERILUNE_RANDOM, or few. PERILUNE_SEED is of the first one.
func randomConfigs(t *testing.T) (seed, n uint64) {
	seed, n = 1, 40
	for name, to := range map[string]*uint64{"PERILUNE_SEED": &seed, "PERILUNE_RANDOM": &n} {
		if s := os.Getenv(name); s != "" {
			var err error
			if *to, err = strconv.ParseUint(s, 10, 64); err != nil {
				t.Fatal(err)
			}
		}
	}
	return seed, n
}

// TestRandomAsNginx compares what random configurations do with random requests: answers, access log and error log.
func TestRandomAsNginx(t *testing.T) {
	if !askPeers() {
		t.Skip("for make test-peers")
	}
	if _, err := exec.LookPath("nginx"); err != nil {
		t.Skip("no nginx to compare with")
	}
	up := startEcho(t)
	seed, n := randomConfigs(t)
	for i := seed; i < seed+n; i++ {
		t.Run(fmt.Sprint(i), func(t *testing.T) { randomAsNginx(t, i, up) })
	}
}

// lastRequest leaves nginx the time to log the one before, whose connection it may have kept to read what is left.
const lastRequest = "GET / HTTP/1.0\r\n\r\n"

func randomAsNginx(t *testing.T, seed uint64, up string) {
	site := makeSite(t)
	if err := os.WriteFile(site+"/users", []byte(basicUsers), 0o644); err != nil {
		t.Fatal(err)
	}
	sameTimes(t, site)
	g := &randomSite{r: rand.New(rand.NewPCG(seed, 1)), up: up, paths: []string{"/cap/x"}}
	config := g.config()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d:\n%s", seed, config)
		}
	})
	dir := t.TempDir()
	text := "events {}\nhttp {\n" + strings.NewReplacer("SITE", site, "LISTEN", "listen 127.0.0.1:1", "LOGS", dir).Replace(config) + "}\n"
	theirs := theirMessages(t, dir, text, "")
	if ours := ourMessages(t, dir, text); ours != theirs {
		t.Errorf("%s\nwe say  %s\nnginx: %s", text, ours, theirs)
	}
	if strings.Contains(theirs, "[emerg]") {
		return
	}
	var requests []string
	for range 30 {
		requests = append(requests, g.request())
	}
	requests = append(requests, lastRequest)
	(&differential{
		site: site, http: config, level: "info", requests: requests, logs: []string{"access"},
		shown: func(_ *testing.T, answer string) string { return shownRandom(answer) },
		line: func(line string) string {
			return strings.ReplaceAll(plainError(line), "epoll_wait() reported that ", "")
		},
	}).run(t)
}
