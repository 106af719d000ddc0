package ipc

import (
	"reflect"
	"strings"
	"testing"
)

var samples = []Message{
	{Type: Init},
	{Type: Ready},
	{Type: Failed, Text: "init_by_lua error: x"},
	{Type: Beat},
	{Type: Beat, Stats: Stats{Accepted: 1, Requests: 1 << 40, Active: 3, Waiting: 2, LuaMemory: 1 << 63, Turns: 7, Handovers: 8, Parked: 9, Goroutines: 10}},
	{Type: Draining},
	{Type: Dumped},
	{Type: Dump},
	{Type: Offer, Paths: []string{"listen"}},
	{Type: Offered, Text: "{}"},
	{Type: Answer, Text: "{}"},
	{Type: Quit},
	{Type: Stop},
	{Type: Reopen},
	{Type: Reopen, Paths: []string{"/var/log/error.log", ""}},
	{Type: Adopt, Slot: 3},
	{Type: Release, Slot: 65536},
	{Type: Agent},
	{Type: Agent, Connections: 1 << 20},
}

func TestMessageRoundTrip(t *testing.T) {
	for _, m := range samples {
		got, err := Decode(m.Append(nil))
		if err != nil {
			t.Errorf("%s: %v", m.Type, err)
		} else if !reflect.DeepEqual(got, m) {
			t.Errorf("%s: got %+v, want %+v", m.Type, got, m)
		}
	}
}

func TestDecodeErrors(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want string
	}{
		"empty":          {"", "cut short"},
		"unknown":        {"\x63", "unknown message type 99"},
		"zero":           {"\x00", "unknown message type 0"},
		"tail":           {"\x07x", "quit: 1 bytes too many"},
		"short text":     {"\x03\x05abc", "failed: message is cut short"},
		"short stats":    {"\x04\x01\x02", "beat: message is cut short"},
		"long varint":    {"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "cut short"},
		"too many files": {"\x09\x41", "at most 64"},
		"connections":    {"\x0d\xff\xff\xff\xff\x7f", "out of range"},
		"slot":           {"\x0a\xff\xff\x7f", "out of range"},
	} {
		_, err := Decode([]byte(c.in))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want …%s…", name, err, c.want)
		}
	}
}

func TestFailedTextIsCut(t *testing.T) {
	m := Message{Type: Failed, Text: strings.Repeat("x", 10*MaxMessage)}
	if n := len(m.Append(nil)); n > MaxMessage {
		t.Fatalf("%d bytes", n)
	}
}

func FuzzDecode(f *testing.F) {
	for _, m := range samples {
		f.Add(m.Append(nil))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		m, err := Decode(in)
		if err != nil {
			return
		}
		again, err := Decode(m.Append(nil))
		if len(m.Text) > MaxMessage/2 {
			return
		}
		if err != nil || !reflect.DeepEqual(m, again) {
			t.Fatalf("%+v became %+v (%v)", m, again, err)
		}
	})
}
