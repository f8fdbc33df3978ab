# The commands of this project. `make` lists them.

.DEFAULT_GOAL := help
.PHONY: help setup run fmt lint style deny test test-rust test-clients chaos bench fuzz image

CARGO ?= cargo

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what the tests need beside Rust: a PostgreSQL, a browser, the clients
	scripts/setup-test-deps.sh

run: ## start the server as it starts for everybody: SQLite in ./data, http://localhost:8080
	$(CARGO) run

fmt: ## put the code into its form
	$(CARGO) fmt --all

lint: style deny ## form, clippy without warnings, licenses and sources of dependencies

style:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets --features bench -- -D warnings

deny:
	scripts/deny.sh

test: ## everything: unit tests, both databases, real clients in a real browser
	scripts/test.sh rust clients

test-rust: ## unit tests and the suite, on SQLite and PostgreSQL
	scripts/test.sh rust

test-clients: ## real MCP clients against the built binary
	scripts/test.sh clients

chaos: ## hang-ups, broken databases, fail-over, memory: ten minutes of them, with a table of what was seen
	scripts/test.sh chaos

bench: ## how fast it is on this machine
	$(CARGO) bench --locked --features bench --bench main

fuzz: ## feed the parsers with anything, a million inputs each (needs a nightly compiler and cargo-fuzz; FUZZ_RUNS=…)
	scripts/fuzz.sh

image: ## the container image
	docker build --tag portcullis .
