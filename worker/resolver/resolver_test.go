package resolver

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"perilune/logging"
	"perilune/worker/loop"
	"perilune/worker/testpeer"
)

// host counts what a resolver takes of the worker's connections.
type host struct{ used int }

func (h *host) Reserve() bool     { h.used++; return true }
func (h *host) Release()          { h.used-- }
func (h *host) OnDraining(func()) {}

// nameServer answers by a script, over UDP and TCP on one port.
type nameServer struct {
	addr   netip.AddrPort
	mu     sync.Mutex
	counts map[string]int
}

// reply is an answer: records as "A 1.2.3.4", "AAAA ::1", "CNAME name.", each with a TTL of an hour.
type reply struct {
	code     dnsmessage.RCode
	records  []string
	truncate bool // over UDP
	silent   bool
	edit     func(b []byte)
}

func serveNames(t testing.TB, script func(name, kind string, count int) reply) *nameServer {
	t.Helper()
	s := &nameServer{counts: make(map[string]int)}
	s.addr = testpeer.ServeDNS(t, func(b []byte, datagram bool) []byte { return s.answer(b, script, !datagram) })
	return s
}

func (s *nameServer) answer(b []byte, script func(string, string, int) reply, tcp bool) []byte {
	var m dnsmessage.Message
	if m.Unpack(b) != nil {
		return nil
	}
	q := m.Questions[0]
	name, kind := strings.TrimSuffix(q.Name.String(), "."), strings.TrimPrefix(q.Type.String(), "Type")
	s.mu.Lock()
	s.counts[name+" "+kind]++
	r := script(name, kind, s.counts[name+" "+kind])
	s.mu.Unlock()
	if r.silent {
		return nil
	}
	m.Response, m.RCode = true, r.code
	if r.truncate && !tcp {
		m.Truncated, r.records = true, nil
	}
	for _, text := range r.records {
		kind, value, _ := strings.Cut(text, " ")
		h := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: 3600}
		var body dnsmessage.ResourceBody
		switch kind {
		case "A":
			body = &dnsmessage.AResource{A: netip.MustParseAddr(value).As4()}
		case "AAAA":
			body = &dnsmessage.AAAAResource{AAAA: netip.MustParseAddr(value).As16()}
		case "CNAME":
			body = &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName(value)}
		case "TXT":
			body = &dnsmessage.TXTResource{TXT: []string{value}}
		}
		m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: body})
	}
	out, err := m.Pack()
	if err != nil {
		panic(err)
	}
	if r.edit != nil {
		r.edit(out)
	}
	return out
}

// asked is how often there was a question.
func (s *nameServer) asked(question string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[question]
}

// world is a resolver in a loop.
type world struct {
	t    testing.TB
	l    *loop.Loop
	r    *Resolver
	host *host
	log  string
}

func newWorld(t testing.TB, servers ...netip.AddrPort) *world {
	t.Helper()
	l, err := loop.New()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, l: l, host: &host{}, r: &Resolver{ipv4: true, ipv6: true}, log: filepath.Join(t.TempDir(), "error.log")}
	f, err := logging.OpenFile(w.log)
	if err != nil {
		t.Fatal(err)
	}
	f.SetSync()
	log := logging.New()
	log.Add(f, logging.Info, logging.Text)
	for _, s := range servers {
		w.r.servers = append(w.r.servers, newServer(w.r, s))
	}
	w.r.Attach(log, w.host)
	done := make(chan error, 1)
	go func() { done <- l.Run() }()
	t.Cleanup(func() {
		l.Post(l.Stop)
		if err := <-done; err != nil {
			t.Error(err)
		}
		if w.host.used != 0 && w.r.asking == 0 {
			t.Errorf("%d sockets are left", w.host.used)
		}
	})
	return w
}

// do runs f with the baton.
func (w *world) do(f func()) {
	done := make(chan struct{})
	w.l.Post(func() { f(); close(done) })
	<-done
}

// look is the result of a Lookup as text.
func (w *world) look(name string, timeout time.Duration) (text string) {
	w.do(func() {
		addrs, err := w.r.Lookup(w.l, name, timeout)
		if text = fmt.Sprint(addrs); err != nil {
			text = err.Error()
		}
	})
	return text
}

func (w *world) logged() string {
	b, err := os.ReadFile(w.log)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(b)
}

func script(name, kind string, count int) reply {
	switch name {
	case "both":
		return reply{records: map[string][]string{"A": {"A 10.0.0.1", "A 10.0.0.2"}, "AAAA": {"AAAA fd00::1"}}[kind]}
	case "four", "end":
		if kind == "A" {
			return reply{records: []string{"A 10.0.0.4"}}
		}
		return reply{}
	case "alias":
		return reply{records: []string{"CNAME mid."}}
	case "mid":
		return reply{records: []string{"CNAME End."}}
	case "ring":
		return reply{records: []string{"CNAME gnir."}}
	case "gnir":
		return reply{records: []string{"CNAME ring."}}
	case "long":
		return reply{truncate: true, records: []string{kind + " " + map[string]string{"A": "10.0.0.9", "AAAA": "fd00::9"}[kind]}}
	case "servfail":
		return reply{code: dnsmessage.RCodeServerFailure}
	case "refused":
		return reply{code: dnsmessage.RCodeRefused}
	case "notimp":
		return reply{code: dnsmessage.RCodeNotImplemented}
	case "empty":
		return reply{}
	case "text":
		return reply{records: []string{"TXT x"}}
	case "silent":
		return reply{silent: true}
	case "ident":
		return reply{edit: func(b []byte) { b[0] ^= 1 }}
	case "opcode":
		return reply{edit: func(b []byte) { b[2] |= 0x08 }}
	}
	return reply{code: dnsmessage.RCodeNameError}
}

func TestLookup(t *testing.T) {
	s := serveNames(t, script)
	w := newWorld(t, s.addr)
	for _, tt := range []struct{ name, want string }{
		{"both", "[10.0.0.1 10.0.0.2 fd00::1]"},
		{"FOUR.", "[10.0.0.4]"},
		{"alias", "[10.0.0.4]"},
		{"ring", "ring could not be resolved (3: Host not found)"},
		{"long", "[10.0.0.9 fd00::9]"},
		{"servfail", "servfail could not be resolved (2: Server failure)"},
		{"refused", "refused could not be resolved (5: Operation refused)"},
		{"notimp", "notimp could not be resolved (4: Unimplemented)"},
		{"empty", "empty could not be resolved (3: Host not found)"},
		{"text", "text could not be resolved (3: Host not found)"},
		{"Nobody", "Nobody could not be resolved (3: Host not found)"},
		{"a..b", "a..b could not be resolved (3: Host not found)"},
		{"", " could not be resolved (3: Host not found)"},
		{strings.Repeat("x", 64), strings.Repeat("x", 64) + " could not be resolved (3: Host not found)"},
		{strings.Repeat("x.", 200), strings.Repeat("x.", 200) + " could not be resolved (3: Host not found)"},
		{"127.0.0.1", "[127.0.0.1]"},
		{"::1", "[::1]"},
	} {
		if got := w.look(tt.name, time.Minute); got != tt.want {
			t.Errorf("%q: %s, want %s", tt.name, got, tt.want)
		}
	}
	if n := s.asked("End A"); n != 0 {
		t.Errorf("asked for a name that is not in lower case")
	}
	if log := w.logged(); !strings.Contains(log, "[error]") || !strings.Contains(log, "unexpected RR type 16 in DNS response") || !strings.Contains(log, "no A or CNAME types in DNS response") {
		t.Errorf("log: %s", log)
	}
}

func TestTimeout(t *testing.T) {
	s := serveNames(t, script)
	w := newWorld(t, s.addr)
	for _, c := range []struct{ name, log string }{
		{"silent", ""}, {"ident", " in DNS response for ident, expect "}, {"opcode", "invalid UDP DNS response "},
	} {
		// The server may be too slow to answer in time at all.
		for timeout := 50 * time.Millisecond; ; timeout *= 4 {
			if got, want := w.look(c.name, timeout), c.name+" could not be resolved (110: Operation timed out)"; got != want {
				t.Errorf("%s, want %s", got, want)
			}
			log := w.logged()
			if strings.Contains(log, c.log) {
				break
			}
			if timeout > 10*time.Second {
				t.Fatalf("not in the log: %s\n%s", c.log, log)
			}
		}
	}
	w.do(func() {
		w.r.drain()
		if w.r.asking != 0 || w.host.used != 0 {
			t.Errorf("%d names and %d sockets after the draining", w.r.asking, w.host.used)
		}
	})
}

func TestNoResolver(t *testing.T) {
	w := newWorld(t)
	w.do(func() {
		var r *Resolver
		_, err := r.Lookup(w.l, "foo", 0)
		var e *Error
		if !errors.As(err, &e) || err.Error() != `no resolver defined to resolve "foo"` {
			t.Error(err)
		}
	})
}

// TestShared has many wait for one name, some of which do not wait long enough or are cancelled.
func TestShared(t *testing.T) {
	gate := make(chan struct{})
	s := serveNames(t, func(name, kind string, count int) reply {
		<-gate
		return script(name, kind, count)
	})
	w := newWorld(t, s.addr)
	const many = 100
	boom := errors.New("boom")
	results := make(chan string, many)
	var q Query
	for i := range many {
		w.l.Post(func() {
			timeout, mine := time.Minute, new(Query)
			switch i {
			case 10:
				timeout = time.Millisecond
			case 20:
				mine = &q
			}
			addrs, err := w.r.LookupWith(mine, w.l, "both", timeout)
			results <- fmt.Sprint(addrs, err)
		})
	}
	w.do(func() { q.Cancel(w.l, boom) })
	early := []string{<-results, <-results}
	slices.Sort(early)
	if early[0] != "[] boom" || early[1] != "[] both could not be resolved (110: Operation timed out)" {
		t.Errorf("%q", early)
	}
	close(gate)
	for range many - 2 {
		if got := <-results; got != "[10.0.0.1 10.0.0.2 fd00::1] <nil>" {
			t.Error(got)
		}
	}
	if a, aaaa := s.asked("both A"), s.asked("both AAAA"); a != 1 || aaaa != 1 {
		t.Errorf("%d and %d questions", a, aaaa)
	}
	// From what is kept each address comes first at times.
	first := make(map[string]bool)
	for range 200 {
		first[strings.Fields(w.look("both", time.Minute))[0]] = true
	}
	if len(first) != 3 || s.asked("both A") != 1 {
		t.Errorf("first addresses %v, %d questions", first, s.asked("both A"))
	}
	w.do(func() {
		if w.host.used != 0 {
			t.Errorf("%d sockets", w.host.used)
		}
	})
}

// TestOtherServer has the first server refuse, which the kernel says, and the second one answer when the time to ask again has come.
func TestOtherServer(t *testing.T) {
	s := serveNames(t, script)
	// A connected socket keeps the port from others, and the kernel refuses what others send there.
	dead, err := net.DialUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}, net.UDPAddrFromAddrPort(s.addr))
	if err != nil {
		t.Fatal(err)
	}
	defer dead.Close()
	port := dead.LocalAddr().(*net.UDPAddr).AddrPort()
	w := newWorld(t, port, s.addr)
	answer := make(chan string, 1)
	go func() { answer <- w.look("four", time.Minute) }()
	// The kernel may tell it while the second question is sent, and then the other server is asked at once.
	for got := ""; got == ""; {
		select {
		case got = <-answer:
			if got != "[10.0.0.4]" {
				t.Error(got)
			}
		case <-time.After(time.Millisecond):
			w.do(func() {
				if n := w.r.names["four"]; n != nil && n.asking && n.server == 0 && strings.Contains(w.logged(), "failed") {
					w.r.again(n)
				}
			})
		}
	}
	if want := "(111: Connection refused) while resolving, resolver: " + port.String() + "\n"; !strings.Contains(w.logged(), want) {
		t.Errorf("no %q in\n%s", want, w.logged())
	}
}

// TestFamilies switches one of the families off.
func TestFamilies(t *testing.T) {
	s := serveNames(t, script)
	w := newWorld(t, s.addr)
	w.r.ipv6 = false
	if got := w.look("both", time.Minute); got != "[10.0.0.1 10.0.0.2]" {
		t.Error(got)
	}
	if s.asked("both AAAA") != 0 {
		t.Error("asked for AAAA")
	}
}

// TestExpire has names forgotten, and asked for again when their time is up.
func TestExpire(t *testing.T) {
	s := serveNames(t, script)
	w := newWorld(t, s.addr)
	w.look("both", time.Minute)
	w.look("four", time.Minute)
	w.do(func() {
		if len(w.r.names) != 2 {
			t.Errorf("%d names", len(w.r.names))
		}
		w.r.names["both"].expire = 1
		w.r.names["four"].valid = 1
	})
	w.look("four", time.Minute)
	w.do(func() {
		if len(w.r.names) != 1 || w.r.unused.first != w.r.unused.last {
			t.Errorf("%d names", len(w.r.names))
		}
	})
	if n := s.asked("four A"); n != 2 {
		t.Errorf("asked %d times", n)
	}
}

func TestHosts(t *testing.T) {
	h := &localHosts{path: filepath.Join(t.TempDir(), "hosts")}
	if err := os.WriteFile(h.path, []byte("# x\n::1 Local ip6\n127.0.0.1 local a.b # c\nbad line\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name       string
		ipv4, ipv6 bool
		want       string
	}{
		{"local", true, true, "[127.0.0.1 ::1]"},
		{"local", false, true, "[::1]"},
		{"a.b", true, true, "[127.0.0.1]"},
		{"a.b", false, true, "[]"},
		{"c", true, true, "[]"},
	} {
		if got := fmt.Sprint(h.lookup(tt.name, tt.ipv4, tt.ipv6)); got != tt.want {
			t.Errorf("%v: %s", tt, got)
		}
	}
}

func TestSearch(t *testing.T) {
	s := serveNames(t, func(name, kind string, count int) reply {
		switch name {
		case "host.two", "a.b", "here", "deep.name.one":
			return reply{records: map[string][]string{"A": {"A 10.0.0." + fmt.Sprint(len(name))}}[kind]}
		case "slow.one":
			return reply{silent: true}
		case "broken.one":
			return reply{code: dnsmessage.RCodeServerFailure}
		}
		return reply{code: dnsmessage.RCodeNameError}
	})
	path := filepath.Join(t.TempDir(), "resolv.conf")
	text := "# c\nnameserver 10.1.2.3\nnameserver ::1\nnameserver x\ndomain old.\nsearch one Two.\noptions rotate ndots:2\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, s.addr)
	w.r.system = readResolvConf(path)
	show := func(c resolvConf) string { return fmt.Sprint(c.servers, c.search, c.ndots) }
	if got := show(w.r.system); got != "[10.1.2.3:53 [::1]:53] [one two] 2" {
		t.Errorf("read %s", got)
	}
	for _, tt := range []struct{ name, want, asked string }{
		{"host", "[10.0.0.8]", "host.one 1 host.two 1 host 0"},
		{"Host", "[10.0.0.8]", "host.two 1 host 0"},
		{"here", "[10.0.0.4]", "here.one 1 here.two 1 here 1"},
		{"here.", "[10.0.0.4]", "here.one 1"},
		{"a.b", "[10.0.0.3]", "a.b.one 1 a.b 1"},
		{"deep.name", "[10.0.0.13]", "deep.name 0"},
		{"x.y.z", "x.y.z could not be resolved (3: Host not found)", "x.y.z 1 x.y.z.one 1 x.y.z.two 1"},
		{"none", "none could not be resolved (3: Host not found)", "none.one 1 none.two 1 none 1"},
		{"broken", "broken could not be resolved (2: Server failure)", "broken 0 broken.two 0"},
		{"slow", "slow could not be resolved (110: Operation timed out)", "slow.one 1 slow.two 0"},
	} {
		timeout := time.Minute
		if tt.name == "slow" {
			timeout = 20 * time.Millisecond
		}
		if got := w.look(tt.name, timeout); got != tt.want {
			t.Errorf("%q: %s, want %s", tt.name, got, tt.want)
		}
		for f := strings.Fields(tt.asked); len(f) > 0; f = f[2:] {
			n := 0
			for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
				if n = s.asked(f[0] + " A"); fmt.Sprint(n) >= f[1] { // the server may get it after the end of the time
					break
				}
			}
			if fmt.Sprint(n) != f[1] {
				t.Errorf("%q: %s was asked for %d times, want %s", tt.name, f[0], n, f[1])
			}
		}
	}
	if got := show(readResolvConf(path + ".none")); got != "[127.0.0.1:53] [] 1" {
		t.Errorf("without the file: %s", got)
	}
}

// FuzzAnswer gives a resolver that waits for a name whatever a server may send.
func FuzzAnswer(f *testing.F) {
	s := &nameServer{counts: make(map[string]int)}
	for _, name := range []string{"both", "alias", "long", "servfail", "text"} {
		for family := range families {
			n := &node{name: name}
			n.prepare(true, true)
			f.Add(s.answer(n.questions[family].msg, script, false), name, false)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, name string, tcp bool) {
		l, err := loop.New()
		if err != nil {
			t.Fatal(err)
		}
		r := &Resolver{ipv4: true, ipv6: true, loop: l}
		r.servers = []*server{newServer(r, netip.MustParseAddrPort("127.0.0.1:9"))}
		q := new(Query)
		r.resolve(name, []*Query{q})
		if n := r.names[name]; n != nil && len(b) > 1 {
			for i := range n.questions { // the id is guessed right
				n.questions[i].msg[0], n.questions[i].msg[1] = b[0], b[1]
			}
		}
		r.take(b, tcp)
		if q.done && q.code == 0 && len(q.addrs) == 0 {
			t.Error("neither addresses nor an error")
		}
		if q.done && r.asking != 0 {
			t.Error("done, and still asking")
		}
		for _, s := range r.servers {
			s.closeAll()
		}
		l.Stop()
		if err := l.Run(); err != nil {
			t.Fatal(err)
		}
	})
}
