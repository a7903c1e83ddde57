# The two commands of the README, and what developers use beside them.

STACK := deploy/local/stack

.PHONY: demo test lint fmt check stack-test

demo: export VOICE_STACK = demo
demo: ## A whole simulated shift through the real pipeline, to reports and a green audit.
	@$(STACK) up
	@cargo build --package voice
	@eval "$$($(STACK) env)" && ./target/debug/voice demo $(DEMO)

test: lint stack-test ## Everything CI runs.
	@cargo test --workspace --no-run
	@eval "$$(VOICE_STACK=test $(STACK) env)" && cargo test --workspace --no-fail-fast

stack-test:
	@VOICE_STACK=test $(STACK) up

lint: ## Formatting and lints, with warnings as errors.
	@cargo fmt --all --check
	@cargo clippy --workspace --all-targets -- -D warnings

fmt:
	@cargo fmt --all

check: ## What CI runs, in CI's words.
	@.ci/run
