# Everything that is done with this repository, a line each; what needs more words is in tests/ci.
.DEFAULT_GOAL := help
.PHONY: help demo build plugins test lint fmt bench install tools

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

demo: ## see it work: installs what is missing, builds, and runs a pipeline on made-up events; DEMO_SECONDS=n ends it
	@tests/ci/demo.sh

build: ## weir and all that is tested, into target/
	@tests/ci/run.sh cargo build --workspace

plugins: ## the plugins, for wasm, each beside its pipeline
	@tests/ci/run.sh plugins/build.sh

test: ## every test, after building what they need; names what this machine lacks
	@tests/ci/test.sh

lint: ## formatting and clippy, as CI does
	@tests/ci/lint.sh

fmt: ## format the sources
	@tests/ci/run.sh cargo fmt --all

bench: ## the benchmarks, with the profile of every other build
	@tests/ci/run.sh cargo bench --workspace --benches --profile dev

install: ## weir, optimised to the last, into ~/.cargo/bin
	@tests/ci/run.sh cargo install --path host --locked

tools: ## install what this machine lacks: Debian packages, Rust
	@tests/ci/tools.sh --install
