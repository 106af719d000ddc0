package main

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
)

// soakConfiguration fills a dictionary of 16 MiB with values whose sizes are spread evenly over the powers of two, from 8 bytes
// to 8 KiB and at times over other ranges, writes it over and over, and tells after each of 20 rounds which share of it keys
// and values are.
const soakConfiguration = `
events {}
http {
	access_log off;
	lua_shared_dict soak 16m;
	server {
		listen 127.0.0.1:PORT;
		location = /return { return 200 x; }
		location = /soak {
			content_by_lua_block {
				local d = ngx.shared.soak
				local ops = tonumber(ngx.var.arg_millions) * 1000000
				local text = string.rep("x", 8192)
				local ranges = {{3, 10}, {3, 3}, {8, 5}, {3, 10}}
				local no_memory, forced, random = 0, 0, math.random
				for round = 0, 19 do
					local r = ranges[round % 4 + 1]
					for i = 1, ops / 20 do
						if i % 10000 == 0 then ngx.sleep(0) end
						local key, p = "key" .. random(0, 199999), random(0, 9)
						if p == 0 then
							d:delete(key)
						elseif p == 1 then
							d:get(key)
						else
							local ok, err, forcible = d:set(key, text:sub(1, math.floor(2 ^ (r[1] + r[2] * random()))))
							if forcible then forced = forced + 1 end
							if not ok then no_memory = no_memory + 1 end
						end
					end
					local live, n = 0, 0
					for _, key in ipairs(d:get_keys(0)) do
						local v = d:get(key)
						if v then live, n = live + #key + #v, n + 1 end
					end
					ngx.say(("%5.0f to %5.0f bytes: %5.1f %% are keys and values, %6d entries; so far %9d forced, %6d no memory")
						:format(2 ^ r[1], 2 ^ (r[1] + r[2]), live / d:capacity() * 100, n, forced, no_memory))
					ngx.flush()
				end
			}
		}
	}
}
`

// runSoak does it in both programs, one after the other.
func runSoak(programs []program, millions int) error {
	var lines [2][]string
	for i, p := range programs {
		s, err := start(p, soakConfiguration, nil, 1, anyCore)
		if err != nil {
			return err
		}
		fmt.Printf("%s, %d million operations\n", p.name, millions)
		lines[i], err = s.soak(millions)
		s.stop()
		if err != nil {
			return fmt.Errorf("soak, %s: %w", p.name, err)
		}
	}
	worse := 0
	for i, line := range lines[0] {
		if i < len(lines[1]) && share(line) < share(lines[1][i]) {
			worse++
		}
	}
	fmt.Printf("%s has the smaller share in %d of %d rounds\n", programs[0].name, worse, len(lines[0]))
	return nil
}

func (s *server) soak(millions int) (lines []string, err error) {
	resp, err := http.Get(fmt.Sprintf("http://%s/soak?millions=%d", s.addr, millions))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	for in := bufio.NewScanner(resp.Body); ; {
		if !in.Scan() {
			if len(lines) != 20 && in.Err() == nil {
				return lines, fmt.Errorf("it has ended after %d rounds, %s", len(lines), resp.Status)
			}
			return lines, in.Err()
		}
		fmt.Println(in.Text())
		lines = append(lines, in.Text())
	}
}

// share is the percentage in a line.
func share(line string) (f float64) {
	_, after, _ := strings.Cut(line, ":")
	_, _ = fmt.Sscan(after, &f)
	return f
}
