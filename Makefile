# The module that ships, and so the one that is tested.
TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
MODULE := $(TARGET)/release/libpam_oath.so

.PHONY: help build test check bench

help:
	@echo 'make build   the module, $(MODULE:$(CURDIR)/%=%)'
	@echo 'make test    every test against that module; needs root, installs what the tests need'
	@echo 'make bench   what a login costs beside the other modules; some minutes'
	@echo 'make check   formatting, lints, documentation'
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
	PAM_OATH_SO=$(MODULE) PAM_OATH_PROPERTY_TRIES=$${PAM_OATH_PROPERTY_TRIES:-10000} \
	    cargo test --locked --no-fail-fast -- --include-ignored

check:
	@scripts/install-deps build
	cargo fmt --check
	cargo clippy --locked --all-targets --all-features -- --deny warnings
	RUSTDOCFLAGS='--deny warnings' cargo doc --locked --no-deps --document-private-items

# BENCH='--million --json' for more users, or for a program that reads the figures.
bench:
	@scripts/install-deps bench
	cargo bench --locked --bench login -- $(BENCH)
