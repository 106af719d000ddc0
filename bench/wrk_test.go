package main

import "testing"

func TestParseWrk(t *testing.T) {
	const text = `Running 5s test @ http://127.0.0.1:1/
  1 threads and 50 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   512.97us   50.00us   3.01ms   90.00%
    Req/Sec    97.50k     1.00k   99.00k    60.00%
  Latency Distribution
     50%  505.00us
     75%  530.00us
     90%  560.00us
     99%    1.25ms 
  487500 requests in 5.00s, 76.00MB read
Requests/sec:  97500.12
Transfer/sec:     15.20MB
`
	out, err := parseWrk(text, false)
	if want := (wrkOutput{487500, 97500.12, 505, 1250}); err != nil || out != want {
		t.Errorf("%+v, %v", out, err)
	}
	if _, err := parseWrk(text+"  Non-2xx or 3xx responses: 7\n", false); err == nil {
		t.Error("errors of the server count as a result")
	}
	if _, err := parseWrk(text+"  Non-2xx or 3xx responses: 7\n", true); err != nil {
		t.Error(err)
	}
	if _, err := parseWrk("  Socket errors: connect 3, read 0, write 0, timeout 0\n"+text, true); err == nil {
		t.Error("socket errors count as a result")
	}
	if _, err := parseWrk("unable to connect", true); err == nil {
		t.Error("nothing counts as a result")
	}
}

func TestMedian(t *testing.T) {
	m := median([]measurement{{cpu: 3, rate: 1}, {cpu: 1, rate: 2}, {cpu: 2, rate: 9}, {cpu: 10, rate: 4}})
	if m.cpu != 2.5 || m.rate != 3 {
		t.Errorf("%+v", m)
	}
}
