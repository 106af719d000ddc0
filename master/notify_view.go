package master

import "fmt"

// phase is what a service manager distinguishes in the life of a service.
type phase int

const (
	beginning phase = iota // not all workers have been ready yet
	serving
	reloading
	ending
)

// view is what a service manager is shown of the master.
type view struct {
	cur, next part // what serves, or is to serve first; what a reload starts
	leaving   int  // workers that finish their requests
	ending    bool
}

// part is a generation and its workers.
type part struct{ generation, ready, workers int }

func (p part) complete() bool { return p.generation > 0 && p.ready == p.workers }

func (p part) String() string {
	if p.complete() {
		return fmt.Sprintf("generation %d, %s", p.generation, workers(p.workers))
	}
	return fmt.Sprintf("generation %d, %d of %s ready", p.generation, p.ready, workers(p.workers))
}

func workers(n int) string {
	if n == 1 {
		return "1 worker"
	}
	return fmt.Sprintf("%d workers", n)
}

// phase says where the master stands; first says that it has never been ready.
func (v view) phase(first bool) phase {
	switch {
	case v.ending:
		return ending
	case first && !v.cur.complete():
		return beginning
	case v.next.generation > 0:
		return reloading
	}
	return serving
}

// status is the text that systemctl status shows.
func (v view) status(p phase) string {
	var text string
	switch p {
	case beginning:
		text = "starting " + v.cur.String()
	case reloading:
		text = v.cur.String() + ", starting " + v.next.String()
	case ending:
		return "stopping, " + workers(v.leaving) + " left"
	default:
		text = v.cur.String()
	}
	if v.leaving > 0 {
		text += fmt.Sprintf(", %s finishing", workers(v.leaving))
	}
	return text
}

// view looks at the state of the master.
func (m *master) view() view {
	v := view{cur: partOf(m.cur), next: partOf(m.next), ending: m.quit || m.term}
	if m.cur == nil {
		v.cur, v.next = v.next, part{}
	}
	for w := range m.workers {
		if w.leaving() || v.ending {
			v.leaving++
		}
	}
	return v
}

func partOf(g *generation) part {
	if g == nil {
		return part{}
	}
	p := part{generation: g.id, workers: len(g.slots)}
	for _, s := range g.slots {
		if s.w != nil && s.w.state == ready {
			p.ready++
		}
	}
	return p
}

// viewOf is the view of a process without workers.
func viewOf(g *generation, over bool) view {
	return view{cur: part{generation: g.id, ready: 1, workers: 1}, ending: over}
}
