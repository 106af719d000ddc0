package master

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"perilune/logging"
)

// String is the report for people.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "perilune/%s, %s, process %d, up %s\n", r.Version, r.State, r.PID, span(r.Uptime))
	fmt.Fprintf(&b, "binary         %s\nconfiguration  %s\npid file       %s\n", r.Binary, r.ConfFile, r.PidFile)
	fmt.Fprintf(&b, "connections    %d active, %d of them idle, %d accepted\n", r.Connections.Active, r.Connections.Waiting, r.Connections.Accepted)
	fmt.Fprintf(&b, "requests       %d\n", r.Requests)
	fmt.Fprintf(&b, "reloads        %d, %d failed\nupgrades       %d, %d failed\n", r.Reloads, r.FailedReloads, r.Upgrades, r.FailedUpgrades)
	fmt.Fprintf(&b, "restarts       %d\n", r.Restarts)
	table(&b, "\nGENERATION\tSTATE\tWORKERS", len(r.Generations), func(i int) string {
		g := &r.Generations[i]
		text := fmt.Sprintf("%d\t%s\t%d of %d", g.ID, g.State, g.Workers, g.Slots)
		if g.Agent {
			text += " and the privileged agent"
		}
		return text
	})
	table(&b, "\nWORKER\tGENERATION\tSLOT\tSTATE\tUP\tACTIVE\tIDLE\tACCEPTED\tREQUESTS\tLUA", len(r.Workers), func(i int) string {
		w := &r.Workers[i]
		slot := strconv.Itoa(w.Slot)
		if w.Slot < 0 {
			slot = "agent"
		}
		return fmt.Sprintf("%d\t%d\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%s", w.PID, w.Generation, slot, w.State, span(w.Uptime),
			w.Connections.Active, w.Connections.Waiting, w.Connections.Accepted, w.Requests, size(w.LuaMemory))
	})
	table(&b, "\nLISTEN\tSOCKETS\tBACKLOG", len(r.Listeners), func(i int) string {
		l := &r.Listeners[i]
		return fmt.Sprintf("%s\t%d\t%d", l.Address, l.Sockets, l.Backlog)
	})
	if len(r.Zones) > 0 {
		table(&b, "\nZONE\tMODULE\tSIZE\tUSED\tENTRIES\tWAITS\tMENDED", len(r.Zones), func(i int) string {
			z := &r.Zones[i]
			return fmt.Sprintf("%s\t%s\t%s\t%s\t%d\t%d\t%d", z.Name, z.Module, size(uint64(z.Size)), size(uint64(z.Used)), z.Entries, z.Contended, z.Mended)
		})
	}
	if len(r.Logs) > 0 {
		table(&b, "\nLOG\tLINES\tBYTES\tLOST\tSHORT\tQUEUED\tHALF\tERRORS", len(r.Logs), func(i int) string {
			l := &r.Logs[i]
			return fmt.Sprintf("%s\t%d\t%d\t%d\t%d\t%d\t%d\t%s", cmp.Or(l.Path, "others"), l.Lines, l.Bytes, l.Lost, l.Short, l.Queued, l.Ended,
				errorText(&l.Errors))
		})
	}
	if len(r.Errors) > 0 {
		b.WriteString("\nLAST ERRORS\n")
	}
	for _, e := range r.Errors {
		fmt.Fprintf(&b, "%s [%s] %s\n", e.Time, e.Level, e.Text)
	}
	return b.String()
}

// errorText lists the kinds of errors that there were.
func errorText(e *logging.Errors) string {
	var list []string
	for _, k := range []struct {
		n    uint64
		name string
	}{{e.NoSpace, "no space"}, {e.Quota, "quota"}, {e.IO, "I/O"}, {e.Pipe, "no reader"}, {e.Full, "queue full"}, {e.Other, "other"}} {
		if k.n > 0 {
			list = append(list, fmt.Sprintf("%d %s", k.n, k.name))
		}
	}
	if list == nil {
		return "-"
	}
	return strings.Join(list, ", ")
}

func table(b *strings.Builder, head string, n int, row func(i int) string) {
	w := tabwriter.NewWriter(b, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, head)
	for i := range n {
		fmt.Fprintln(w, row(i))
	}
	w.Flush()
}

// span is a time with its two largest units.
func span(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second)).Truncate(time.Second)
	day := 24 * time.Hour
	switch {
	case d >= day:
		return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return d.String()
}

func size(n uint64) string {
	if n < 10<<20 {
		return fmt.Sprintf("%dK", n>>10)
	}
	return fmt.Sprintf("%dM", n>>20)
}
