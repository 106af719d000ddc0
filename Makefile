# perilune: build, run, test. `make help` lists the targets.

GO      ?= go
BIN     := bin/perilune
LDFLAGS := -s -w

export CGO_ENABLED = 0

.PHONY: build run test test-peers test-libs chaos race fuzz lint bench soak torn pgo docs clean help

build: ## the one static binary, bin/perilune
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN) .

run: build ## the demo site on http://127.0.0.1:8080/, 2 workers, in the foreground
	@mkdir -p scripts/demo/logs
	$(BIN) -p $(CURDIR)/scripts/demo -c conf/nginx.conf

test: ## all tests
	$(GO) test -timeout 30m ./...

test-peers: ## the tests that compare with nginx, against the one of this machine instead of what it answered once
	PERILUNE_PEERS=1 $(GO) test -count 1 ./conf ./worker/http ./worker/httplua ./worker/secure

test-libs: ## the public Lua libraries, unmodified, with real servers; scripts/lua-libs fetches them
	PERILUNE_LUA_LIBS=$$(scripts/lua-libs) $(GO) test -count 1 -v -run 'TestLib' ./worker/httplua

ROUNDS ?= 20
chaos: ## upgrades, reloads, failed upgrades and killed workers under load, for ROUNDS rounds
	PERILUNE_CHAOS=$(ROUNDS) $(GO) test . -run 'TestChaos' -count 1 -v -timeout 30m

RACE ?= ./conf/... ./ipc/... ./logging/... ./luart/vm ./worker/loop/...

race: ## the packages with goroutines, under the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race -short -timeout 30m $(RACE)

FUZZTIME ?= 30s
fuzz: ## every fuzz target for FUZZTIME
	@scripts/fuzz $(FUZZTIME)

lint: ## gofmt, go vet, staticcheck
	@out=$$(gofmt -l .); test -z "$$out" || { echo "gofmt: $$out"; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

bench: build ## side by side with Debian's nginx and ngx_lua; writes bench/RESULTS.md
	$(GO) run ./bench -libs "$$(scripts/lua-libs)" $(BENCHFLAGS)

torn: build ## lines of buffered access logs that are torn, counted beside Debian's nginx
	$(GO) run ./bench -torn 8000

MILLIONS ?= 20
soak: build ## the share of a shared dictionary that values of mixed sizes can use, over MILLIONS of operations, beside nginx's
	$(GO) run ./bench -soak $(MILLIONS)

bench-lua: build ## the Lua machine side by side with lua5.1, luajit and gopher-lua; writes bench/LUA.md
	$(GO) run ./bench/lua -o bench/LUA.md $(BENCHFLAGS)

pgo: ## default.pgo, the profile that builds are optimised by, from the benchmarks
	scripts/pgo

docs: ## the tables of docs/, from the code
	$(GO) generate ./...

clean:
	rm -rf bin scripts/demo/logs

help:
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' Makefile
