# The commands of the README, and those of who works on the program.

GO      ?= go
RUN     := 127.0.0.1:2525
FUZZ    ?= 60s
TARGETS ?= 1000000
TIME    ?= 10m
MESSAGES ?= 10000
SOAK    ?= 30m

# What "starttls version" says: the commit, if this is a checkout
COMMIT  := $(shell git describe --always --dirty=+changes 2>/dev/null)

.PHONY: build help run test check fuzz soak bench compare scan peers package try-package clean

## build: the program, in bin/starttls
build:
	@mkdir -p bin
	$(GO) build -trimpath $(if $(COMMIT),-ldflags '-X starttls/internal/cli.Version=$(COMMIT)') -o bin/starttls ./cmd/starttls

## help: what can be made here
help:
	@sed -n 's/^## //p' Makefile

## run: the gateway with its built-in try-out server
run: build
	@echo 'Try in another terminal:'
	@echo '  openssl s_client -connect $(RUN) -starttls smtp'
	@echo '  swaks --server $(RUN) --tls --from you@example.org --to me@example.org'
	@echo '  bin/starttls connect "smtp://$(RUN)?tls=encrypt" --show'
	@echo
	@bin/starttls gateway smtp://$(RUN)

## test: installs what the tests need, where it may, and runs every test
test: peers check
	$(GO) test -race -shuffle=on -timeout 20m ./...

## check: formatting, vet, staticcheck
check:
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo 'gofmt would change:'; gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	$(GO) tool -modfile=tools.mod staticcheck ./...

## peers: the real servers and clients of the tests, by apt, on a Debian machine as root
peers:
	sh test/peers/install.sh

## fuzz: each fuzz target for FUZZ (60s)
fuzz:
	@for pkg in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
	    echo "$$pkg $$target"; $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZ) $$pkg || exit 1; \
	  done; \
	done

## soak: what takes long, an hour at most: everything that befalls two gateways, for SOAK (30m); ten thousand idle sessions; MESSAGES (10,000; fewer from Exim and sendmail) from each real mail server into the lab, and its slow domains; the zoos of check and of check --client ten times
soak: peers
	STARTTLS_SOAK=1 $(GO) test -count=1 -timeout 10m -run 'TestEveryLabDomain' ./internal/relay
	STARTTLS_SOAK=1 $(GO) test -count=1 -timeout 10m -run 'TestEveryVillainOfEveryDialect|TestNaive' ./internal/villain
	STARTTLS_SOAK=1 $(GO) test -count=1 -timeout 30m -run 'TestZoo' ./internal/check
	$(GO) run ./test/soak -for $(SOAK)
	STARTTLS_SOAK=$(MESSAGES) $(GO) test -count=1 -timeout 60m -run 'TestRelay' ./test/peers

## bench: the gateway beside stunnel, nginx and bare crypto/tls, policy serve beside postfix-mta-sts-resolver, as tables
bench: peers build
	$(GO) run ./test/bench
	$(GO) run ./test/scan

## compare: starttls check beside testssl.sh and nmap: what each finds, how long it takes, how many connections
compare: peers
	$(GO) run ./test/bench -only checkers

## scan: TARGETS (a million, or as many as fit TIME) scanned, killed in the middle, resumed; 5 kB of disk for each
scan:
	$(GO) run ./test/scan -targets $(TARGETS) -time $(TIME) -limit 2h

## package: a Debian package in dist/, with manual pages, completions, units and a sample
package:
	packaging/build.sh

## try-package: the package on a Debian 12 that has nothing else (debootstrap, as root)
try-package: package
	packaging/try.sh

## clean: what was built is removed
clean:
	rm -rf bin dist
