# What a person and CI type. Everything is set up on the way: the first target that needs it makes .venv.
#
#   make demo [IMAGES=folder-or-archive]   a batch of real images through the whole service, on this machine
#   make up                                the same service in the foreground, until Ctrl-C; its data is kept
#   make test [ARGS=...]                   every test; ARGS goes to pytest
#   make lint | bench | clean
#
# PYTHON=python3.12        the interpreter for .venv; default: the first of 3.11 or newer that is found
# TORCH_INDEX_URL=URL      where torch is installed from, such as the index of a CUDA build; default: the usual index
# TORCH_SPEC=torch==X      another build of torch; default: the one that constraints.txt pins

IMAGES ?=
ARGS ?=
BIN := .venv/bin

.PHONY: demo up test lint bench setup clean

demo: setup
	$(BIN)/leaktrace demo $(if $(IMAGES),"$(IMAGES)") $(ARGS)

up: setup
	$(BIN)/leaktrace up $(ARGS)

# The quickest first, so that what is plainly broken shows at once; the killing of processes last.
test: setup
	$(BIN)/python -m pytest tests/unit tests/integration tests/e2e tests/browser tests/faults $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup
	$(BIN)/python -m benchmarks.density
	$(BIN)/python -m benchmarks.library
	$(BIN)/python -m benchmarks.service
	$(BIN)/python -m benchmarks.console
	$(BIN)/python -m benchmarks.submission --number 20000

setup:
	@PYTHON="$(PYTHON)" TORCH_SPEC="$(TORCH_SPEC)" TORCH_INDEX_URL="$(TORCH_INDEX_URL)" sh deploy/set-up.sh

# The data as well: databases, objects, keys, logs. Refused while a stack is running on them.
clean:
	@sh deploy/clean.sh
