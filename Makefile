# The modules that ship, and so the ones that are tested.
TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
MODULE := $(TARGET)/release/libpam_oath.so
GOOGLE_MODULE := $(TARGET)/release/libpam_google_authenticator.so

.PHONY: help build test check bench plot demo demo-google install uninstall deb rpm deny fuzz mutants
.PHONY: msrv 32bit musl miri advisories test-on

help:
	@echo 'make build   the module, $(MODULE:$(CURDIR)/%=%)'
	@echo 'make test    every test against that module; needs root, installs what the tests need'
	@echo 'make bench   what a login costs beside the other modules; some minutes'
	@echo 'make plot    docs/performance.svg anew, from the last make bench'
	@echo 'make check   formatting, lints, documentation'
	@echo 'make demo    an enrolment and some logins in a scratch folder'
	@echo 'make demo-google   the same in place of the module of google-authenticator'
	@echo 'make install, make uninstall   PREFIX=/usr/local, DESTDIR=, SECURITYDIR= found;'
	@echo '                               GOOGLE=1 for the module of google-authenticator as well'
	@echo 'make deb, make rpm             packages, in $(TARGET:$(CURDIR)/%=%)/packages'
	@echo 'make deny    licences and sources of the dependencies, with cargo-deny'
	@echo 'make advisories   the same, and their known weaknesses; needs github.com'
	@echo 'make msrv    the tests that need no root, with the oldest Rust that is supported'
	@echo 'make 32bit, make musl   all code checked, and the library tested, for i686 and for musl'
	@echo 'make test-on ARCH=i386   the tests on a machine of 32 bits, in a root of its own'
	@echo 'make miri    the modules without system calls under Miri; needs nightly Rust'
	@echo 'make mutants   whether the tests notice when the change since MUTANTS_SINCE is broken'
	@echo 'make fuzz    each fuzzer for FUZZ_SECONDS (60); needs nightly Rust and g++'
	@echo 'cargo test   the tests that need neither root nor more packages'

build:
	@scripts/install-deps build
	cargo build --release --locked

test:
	@[ "$$(id -u)" = 0 ] || { \
	    echo 'Some tests make a machine of their own, with users and services; that takes root.'; \
	    echo 'Run: sudo env "PATH=$$PATH" make test'; \
	    echo '`cargo test` runs the tests that do not need it.'; \
	    exit 1; } >&2
	@scripts/install-deps test
	$(MAKE) build
	PAM_OATH_SO=$(MODULE) PAM_GOOGLE_AUTHENTICATOR_SO=$(GOOGLE_MODULE) \
	    PAM_OATH_PROPERTY_TRIES=$${PAM_OATH_PROPERTY_TRIES:-10000} \
	    cargo test --locked --no-fail-fast -- --include-ignored

check:
	@scripts/install-deps build
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets --all-features -- --deny warnings
	RUSTDOCFLAGS='--deny warnings' cargo doc --locked --workspace --no-deps --document-private-items

# BENCH=--million for more users, BENCH=--quick for a tenth of the logins.
bench:
	@scripts/install-deps bench
	cargo build --release --locked
	cargo bench --locked --bench login -- $(BENCH)

# Of what `make bench` measured last.
plot:
	@scripts/install-deps plot
	scripts/plot $(TARGET)/bench/login.json docs/performance.svg

demo:
	@scripts/install-deps demo
	cargo build --release --locked
	@scripts/demo $(MODULE) $(TARGET)/release/oathctl

demo-google:
	@scripts/install-deps demo-google
	cargo build --release --locked
	@scripts/demo-google $(GOOGLE_MODULE) $(TARGET)/release/google-authenticator

# Does not build: root need not have a Rust.
install:
	@GOOGLE='$(GOOGLE)' scripts/install $(TARGET)/release

uninstall:
	@scripts/uninstall

deb rpm:
	@scripts/install-deps package
	cargo build --release --locked
	scripts/package $@

deny:
	scripts/cargo-tool cargo-deny 0.18.3
	$(TARGET)/tools/bin/cargo-deny --all-features check bans licenses sources

# What a public host's CI runs besides .ci/run: .github/workflows/ci.yml.
msrv 32bit musl miri advisories:
	scripts/ci-$@

# TESTS='--package pam_oath --test conformance' for less.
test-on:
	scripts/test-on $(ARCH)

# Not part of CI: a change of some files takes an hour.
MUTANTS_SINCE ?= HEAD~1
mutants:
	scripts/cargo-tool cargo-mutants 26.0.0
	@mkdir -p $(TARGET)
	git diff $(MUTANTS_SINCE) -- src crates/oath-core >$(TARGET)/mutants.diff
	$(TARGET)/tools/bin/cargo-mutants mutants --in-diff $(TARGET)/mutants.diff --output $(TARGET) \
	    --test-package oath-core,pam_oath --no-shuffle $(MUTANTS)

FUZZERS := usersfile arguments whole_login secret_file import
FUZZ_SECONDS ?= 60

# What makes one fail goes to fuzz/artifacts/. With the fix it moves to fuzz/seeds/, where
# tests/conformance/bytes.rs finds it.
fuzz:
	@cargo +nightly --version >/dev/null || { \
	    echo 'Run: rustup toolchain install nightly' >&2; \
	    exit 1; }
	scripts/cargo-tool cargo-fuzz 0.13.1
	mkdir -p $(FUZZERS:%=fuzz/corpus/%)
	for fuzzer in $(FUZZERS); do \
	    PATH=$(TARGET)/tools/bin:$$PATH cargo +nightly fuzz run $$fuzzer fuzz/corpus/$$fuzzer fuzz/seeds/$$fuzzer -- \
	        -max_total_time=$(FUZZ_SECONDS) -timeout=30 -max_len=4096 || exit 1; \
	done
