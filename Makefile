# `make help` lists the targets.

SHELL := /bin/bash
CARGO ?= cargo
TARGET_DIR := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)
VENV := $(TARGET_DIR)/venv
NODE := $(TARGET_DIR)/node
# Clients that are not ours; the version is fixed so that a run today and one next year test alike.
# MiniMQTT's own dependencies are drivers of microcontrollers: these are the ones it works with here.
PYTHON_CLIENTS := paho-mqtt==2.1.0 adafruit-circuitpython-minimqtt==8.1.0 \
  adafruit-circuitpython-connectionmanager==3.1.8 adafruit-circuitpython-ticks==1.1.7 \
  adafruit-circuitpython-typing==1.13.0 typing_extensions==4.16.0
NODE_CLIENTS := mqtt@5.16.0
# What benches write: every run, and the pages whose tables and plots are made of it.
FIGURES := --results docs/performance/results.json --page docs/performance.md --page docs/scaling.md

.DEFAULT_GOAL := help
.PHONY: help run test lint fmt sim torture fuzz bench bench-peers figures micro picture deb setup setup-test setup-bench

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  make sim SEEDS=10000 | make sim SEED=17 | make torture KILLS=100 | make bench ONLY=50x50 | make micro ONLY=codec"
	@echo "  make fuzz MINUTES=60 | make fuzz ONLY=session"
	@echo "  make bench ONLY=list names the workloads"

# The dev profile is optimised a little (Cargo.toml): a first look should not wait for `release`.
run: setup ## install what is missing, build, and serve on 127.0.0.1:1883 (data in ./data)
	$(CARGO) build
	@exec $(TARGET_DIR)/debug/bluetick serve --dev --data-dir data --mqtt 127.0.0.1:1883

test: setup-test lint ## all tests, lints and the layering check
	BLUETICK_TEST_PYTHON=$(VENV)/bin/python BLUETICK_TEST_NODE=$(NODE) \
	  $(CARGO) test --workspace --no-fail-fast

lint: ## rustfmt, clippy, rustdoc
	$(CARGO) fmt --all --check
	$(CARGO) fmt --check --manifest-path benches/rmqtt/Cargo.toml
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps

fmt: ## format the sources
	$(CARGO) fmt --all
	$(CARGO) fmt --manifest-path benches/rmqtt/Cargo.toml

sim: setup ## simulate SEEDS=n runs (default 1000), or the one with SEED=n
	SEEDS=$(or $(SEEDS),1000) SEED=$(SEED) \
	  $(CARGO) test --package bluetick-bridge --test simulation -- --nocapture

torture: setup ## kill and restart the real server KILLS=n times (default 50) under load
	KILLS=$(or $(KILLS),50) $(CARGO) test --test torture -- --nocapture

fuzz: setup ## feed everything that takes bytes of strangers for MINUTES=n (default 10)
	CARGO_TARGET_DIR=$(TARGET_DIR) tools/fuzz.sh $(or $(MINUTES),10) $(ONLY)

bench: setup-test ## load figures, with other servers beside; written to docs/performance (ONLY=workload; PEERS=server: prints only)
	$(CARGO) build --release --bin bluetick
	$(CARGO) build --release --package bluetick-benches
	$(CARGO) run --release --package bluetick-benches --bin bench -- \
	  $(if $(filter list,$(ONLY)),--list,--bluetick $(TARGET_DIR)/release/bluetick \
	  $(if $(PEERS),--peers $(PEERS),$(FIGURES)) \
	  $(if $(ONLY),--only $(ONLY)))

micro: setup ## time a message in codec, trie, session, engine, store and encoding (ONLY=codec for one)
	$(CARGO) bench --package bluetick-broker --package bluetick-bridge --bench micro -- $(ONLY)

figures: setup ## tables and plots of docs/performance and docs/scaling anew, of what was measured last
	$(CARGO) run --release --package bluetick-benches --bin bench -- --show $(FIGURES)

# What `bench` finds it runs beside bluetick, what it does not find it names. RMQTT has a lock file of its own.
bench-peers: setup-bench ## install or build the other servers that `bench` runs, and see that each works
	$(CARGO) build --release --locked --manifest-path benches/rmqtt/Cargo.toml --target-dir $(TARGET_DIR)
	$(CARGO) build --release --package bluetick-benches
	$(TARGET_DIR)/release/bench --tiny --only 1x1 50x50 1x1-qos0 window1 idle fan-out --peers \
	  mosquitto-persistent rumqttd rmqtt rabbitmq rabbitmq-durable ejabberd ejabberd-unarchived prosody

picture: setup ## draw docs/terminal.svg anew, from the screen of the real program
	BLUETICK_PICTURE=$(CURDIR)/docs/terminal.svg $(CARGO) test --test terminal picture

# cargo-deb packages what is there; completions are made by the program itself.
deb: setup ## a Debian package, with cargo-deb (cargo install cargo-deb)
	$(CARGO) build --release --locked --bin bluetick
	@mkdir -p $(TARGET_DIR)/release/completions
	@cd $(TARGET_DIR)/release && for shell in bash fish zsh; do \
	  ./bluetick completions $$shell > completions/bluetick.$$shell || exit 1; done
	@cd $(TARGET_DIR)/release/completions && mv bluetick.zsh _bluetick
	$(CARGO) deb --no-build

setup:
	@tools/setup.sh

setup-bench: setup-test
	@tools/setup.sh bench

setup-test:
	@tools/setup.sh test
	@test -x $(VENV)/bin/python || python3 -m venv $(VENV)
	@test "$$(cat $(VENV)/clients 2>/dev/null)" = '$(PYTHON_CLIENTS)' || { \
	  echo "installing paho-mqtt and MiniMQTT from PyPI into $(VENV)"; \
	  $(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps $(PYTHON_CLIENTS) || { \
	    echo "the tests need paho-mqtt and MiniMQTT and they cannot be had" >&2; exit 1; }; \
	  echo '$(PYTHON_CLIENTS)' > $(VENV)/clients; }
	@test "$$(cat $(NODE)/clients 2>/dev/null)" = '$(NODE_CLIENTS)' || { \
	  echo "installing MQTT.js from npm into $(NODE)"; mkdir -p $(NODE); \
	  npm install --silent --no-audit --no-fund --no-save --prefix $(NODE) $(NODE_CLIENTS) || { \
	    echo "the tests need MQTT.js and it cannot be had" >&2; exit 1; }; \
	  echo '$(NODE_CLIENTS)' > $(NODE)/clients; }
