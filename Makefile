# Everything that a person does with this checkout. `make` alone prints the list.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:
MAKEFLAGS += --no-print-directory

# --- Where things go -------------------------------------------------------------------------------

PREFIX ?= /usr/local
DESTDIR ?=
BINDIR = $(PREFIX)/bin
# systemd reads /usr/lib and /usr/local/lib; for any other prefix its files go to /etc.
LIBDIR = $(if $(filter /usr /usr/local,$(PREFIX)),$(PREFIX)/lib,/etc)
SHAREDIR = $(PREFIX)/share
ETCDIR = /etc/ringway

# Programs for `make install` and `make dev`; a package builder may point it elsewhere.
BIN_DIR ?= $(or $(CARGO_TARGET_DIR),target)/release
PROGRAMS = ringway ringway-dataplane ringway-controlplane
PACKAGES = -p ringway-cli -p ringway-shard -p ringway-server

# Test builds are kept outside the checkout, so that a fresh checkout does not start from nothing.
CACHE = $(or $(XDG_CACHE_HOME),$(if $(HOME),$(HOME)/.cache,/var/tmp))/ringway
TEST_TARGET = $(or $(CARGO_TARGET_DIR),$(CACHE)/target)
TOOLS ?= $(CACHE)/tools

CARGO_DENY_VERSION = 0.20.2
CARGO_FUZZ_VERSION = 0.13.2
SECONDS_EACH ?= 60
SCENARIO ?= rtp-1x100-video

UNITS = ringway.target ringway-dataplane.service ringway-controlplane.service

# --- Targets ---------------------------------------------------------------------------------------

.PHONY: help
help: ## Print this list
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /  \1\t/' | expand -t 14

.PHONY: dev
dev: ## Install what the build lacks, build, run the appliance in the foreground
	@tests/need cc c++
	cargo build --release --locked --quiet $(PACKAGES)
	exec $(BIN_DIR)/ringway dev

.PHONY: build
build: ## Build the three programs (release)
	@tests/need cc c++
	cargo build --release --locked $(PACKAGES)

.PHONY: test
test: test-needs lint tests loom miri ## Install what the tests need and run them all
	@echo "all tests passed"

# One after the other: each of them takes the whole machine.
.NOTPARALLEL:

.PHONY: test-needs
test-needs:
	@tests/need cc ffmpeg ffprobe ethtool ip curl unshare

.PHONY: lint
lint: export CARGO_TARGET_DIR := $(TEST_TARGET)
lint: ## Format and lints only
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

# Tests start the real programs, which cargo builds by itself only for packages that have tests of
# the whole; so they are built first.
.PHONY: tests
tests: export CARGO_TARGET_DIR := $(TEST_TARGET)
tests: export RINGWAY_BIN_DIR := $(abspath $(TEST_TARGET))/debug
tests:
	cargo build --workspace --bins --locked
	cargo test --workspace --locked

# Not part of `make test` yet: all of them pass, but in one run of thirty LiveKit's Python package gives
# a test no pictures of a track that it decodes.
.PHONY: test-calls
test-calls: export CARGO_TARGET_DIR := $(TEST_TARGET)
test-calls: export RINGWAY_BIN_DIR := $(abspath $(TEST_TARGET))/debug
test-calls: ## Calls of real clients: browsers, LiveKit's SDKs, aiortc, GStreamer (installs them)
	@tests/need cc ffmpeg ip curl unshare chromium firefox webrtcbin call-clients
	cargo build --workspace --bins --locked
	cargo test -p ringway-interop --locked -- --ignored

.PHONY: loom
loom: export RUSTFLAGS := --cfg loom
loom: ## Check the lanes and pages of shared memory under every interleaving
	cargo test -p ringway-abi --release --locked --target-dir $(TEST_TARGET)/loom --test loom

.PHONY: miri
miri: export MIRIFLAGS := -Zmiri-disable-isolation
miri: ## Run what miri can run of the shared-memory contract (needs nightly with miri)
	@if ! cargo +nightly miri --version >/dev/null 2>&1; then
	    echo "miri: skipped. To run it: rustup toolchain install nightly -c miri,rust-src"
	    exit 0
	fi
	cargo +nightly miri test -p ringway-abi --lib --locked --target-dir $(TEST_TARGET)/miri

# Not part of `make test`: installing it takes minutes, and it needs the network. The licences and
# bans of deny.toml are held there by tests/tidy.
.PHONY: deny
deny: ## Check licences, bans, sources and advisories of all dependencies (installs cargo-deny)
	@if ! command -v cargo-deny >/dev/null && [ ! -x $(TOOLS)/bin/cargo-deny ]; then
	    cargo install cargo-deny --locked --version $(CARGO_DENY_VERSION) --root $(TOOLS)
	fi
	export PATH="$(TOOLS)/bin:$$PATH"
	cargo deny --locked check bans licenses sources
	# Without the network everything else is still worth knowing.
	if ! cargo deny --locked fetch db; then
	    echo "deny: bans, licences and sources are fine. ADVISORIES WERE NOT CHECKED: their database"
	    echo "(https://github.com/rustsec/advisory-db) cannot be fetched from here; see above."
	    exit 0
	fi
	cargo deny --locked check advisories

.PHONY: fuzz
fuzz: export RUSTC_BOOTSTRAP := 1
fuzz: ## Fuzz every target for SECONDS_EACH seconds (60)
	@tests/need cc c++
	if ! command -v cargo-fuzz >/dev/null && [ ! -x $(TOOLS)/bin/cargo-fuzz ]; then
	    cargo install cargo-fuzz --locked --version $(CARGO_FUZZ_VERSION) --root $(TOOLS)
	fi
	export PATH="$(TOOLS)/bin:$$PATH"
	for target in $$(cargo fuzz list --fuzz-dir tests/fuzz/harness); do
	    # What libFuzzer finds goes to the cache; the committed seeds stay as they are.
	    mkdir -p $(CACHE)/fuzz/$$target
	    cargo fuzz run --fuzz-dir tests/fuzz/harness $$target $(CACHE)/fuzz/$$target \
	        tests/fuzz/corpus/$$target -- -max_total_time=$(SECONDS_EACH)
	done

.PHONY: bench
bench: ## Time the hot functions
	@tests/need cc c++
	cargo bench -p ringway-benches --locked

.PHONY: perf
perf: ## Compare servers under a load: make perf SCENARIO=rtp-1000x1-audio
	@tests/need cc c++
	perf/compare $(SCENARIO)

.PHONY: install
install: ## Install programs, units and default configuration (DESTDIR, PREFIX)
	@for program in $(PROGRAMS); do
	    if [ ! -x $(BIN_DIR)/$$program ]; then
	        echo "$(BIN_DIR)/$$program is missing: run 'make build' first (not as root)" >&2
	        exit 1
	    fi
	    install -D -m 0755 $(BIN_DIR)/$$program $(DESTDIR)$(BINDIR)/$$program
	done
	for unit in $(UNITS); do
	    install -d $(DESTDIR)$(LIBDIR)/systemd/system
	    sed 's|/usr/local/bin/|$(BINDIR)/|g' systemd/$$unit > $(DESTDIR)$(LIBDIR)/systemd/system/$$unit
	    chmod 0644 $(DESTDIR)$(LIBDIR)/systemd/system/$$unit
	done
	install -D -m 0644 systemd/ringway.sysusers $(DESTDIR)$(LIBDIR)/sysusers.d/ringway.conf
	install -D -m 0644 systemd/ringway.tmpfiles $(DESTDIR)$(LIBDIR)/tmpfiles.d/ringway.conf
	install -D -m 0644 systemd/ringway.sysctl $(DESTDIR)$(LIBDIR)/sysctl.d/60-ringway.conf
	install -d $(DESTDIR)$(ETCDIR)
	for file in dataplane.yaml controlplane.yaml; do
	    kept=$(DESTDIR)$(ETCDIR)/$$file
	    if [ -e $$kept ] && ! cmp -s systemd/$$file $$kept; then
	        install -m 0640 systemd/$$file $$kept.new
	        echo "$$kept is yours and stays; the new defaults are in $$kept.new"
	    else
	        install -m 0640 systemd/$$file $$kept
	    fi
	done
	share=$(DESTDIR)$(SHAREDIR)
	install -d $$share/bash-completion/completions $$share/zsh/site-functions \
	    $$share/fish/vendor_completions.d
	$(BIN_DIR)/ringway completions bash > $$share/bash-completion/completions/ringway
	$(BIN_DIR)/ringway completions zsh > $$share/zsh/site-functions/_ringway
	$(BIN_DIR)/ringway completions fish > $$share/fish/vendor_completions.d/ringway.fish
	if [ -n "$(DESTDIR)" ]; then exit 0; fi
	if [ ! -e $(ETCDIR)/keys.yaml ]; then
	    secret=$$(head -c 36 /dev/urandom | base64)
	    (umask 077; printf 'API%s: "%s"\n' "$$(head -c 6 /dev/urandom | od -An -tx1 | tr -d ' \n')" \
	        "$$secret" > $(ETCDIR)/keys.yaml)
	    echo "a new API key and its secret are in $(ETCDIR)/keys.yaml"
	fi
	if [ ! -d /run/systemd/system ]; then
	    echo "systemd does not run here: users, folders and sysctl are left to you (docs/install.md)"
	    exit 0
	fi
	systemd-sysusers $(LIBDIR)/sysusers.d/ringway.conf
	systemd-tmpfiles --create $(LIBDIR)/tmpfiles.d/ringway.conf
	sysctl -q -p $(LIBDIR)/sysctl.d/60-ringway.conf || echo "some sysctl settings were refused"
	systemctl daemon-reload
	echo "installed. Start it: sudo systemctl enable --now ringway.target"

.PHONY: uninstall
uninstall: ## Remove what `make install` installed; configuration and data stay
	@if [ -z "$(DESTDIR)" ] && [ -d /run/systemd/system ]; then
	    systemctl disable --now $(UNITS) 2>/dev/null || true
	fi
	for program in $(PROGRAMS); do rm -f $(DESTDIR)$(BINDIR)/$$program; done
	for unit in $(UNITS); do rm -f $(DESTDIR)$(LIBDIR)/systemd/system/$$unit; done
	rm -f $(DESTDIR)$(LIBDIR)/sysusers.d/ringway.conf
	rm -f $(DESTDIR)$(LIBDIR)/tmpfiles.d/ringway.conf
	rm -f $(DESTDIR)$(LIBDIR)/sysctl.d/60-ringway.conf
	rm -f $(DESTDIR)$(SHAREDIR)/bash-completion/completions/ringway
	rm -f $(DESTDIR)$(SHAREDIR)/zsh/site-functions/_ringway
	rm -f $(DESTDIR)$(SHAREDIR)/fish/vendor_completions.d/ringway.fish
	if [ -z "$(DESTDIR)" ] && [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
	echo "removed. $(DESTDIR)$(ETCDIR) and $(DESTDIR)/var/lib/ringway stay: delete them if you are sure"

.PHONY: clean
clean: ## Remove build output, the shared test build included
	cargo clean
	rm -rf "$(CACHE)/target"
