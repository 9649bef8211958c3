# make demo      trains a vocabulary from the embedded counts and shows round trips, offline
# make demo-t5   installs torch, trains a tiny T5 for 3 minutes and lets it fill masks; TEXT=file trains on yours
# make test      runs the suite; make test-all also what takes minutes, checked indices and 10,000 changed files
# make test-kills KILLS=1000 SEED=0, make test-interrupts TRIES=500 SEED=0: jobs broken off at random, done again, compared
# make test-keras  KerasHub in TensorFlow and JAX, in an environment of its own, against PyTorch; some minutes and gigabytes
# make test-tokenizers  tokenizers 1.0, a release candidate, in an environment of its own: the same ids
# make check     ruff, mypy, the layers and the English of docstrings
# make docs     the documentation, strictly: build/site, pages that ask the network for nothing
# make dist     wheel and source archive, built twice to the same bytes, and checked
# make bench     the benchmarks of counting and training, over CORPUS="files of records"
# make bench-all  every figure of README and docs/benchmarks*, into docs/benchmarks.json, and from it into these pages;
#                 hours; BENCH="--only encode count --model DIR --before COMMIT", see benchmarks/all.py

PYTHON ?= python3
VENV ?= .venv
KERAS_VENV ?= .venv-keras
TOKENIZERS_VENV ?= .venv-tokenizers
KILLS ?= 50
TRIES ?= 48
SEED ?= 0
CORPUS ?= ../shared/corpus/*.parquet
BENCH ?=
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo demo-t5 test test-all test-bounds test-kills test-interrupts test-keras test-tokenizers check docs dist bench bench-all clean

demo: $(VENV)/core
	$(BIN)/spanish-tok demo

demo-t5: $(VENV)/t5
	$(BIN)/spanish-tok demo --t5 $(if $(TEXT),--text "$(TEXT)") $(if $(MINUTES),--minutes $(MINUTES))

test: $(VENV)/dev
	$(PYTEST) -m "not slow"

test-all: $(VENV)/dev test-bounds
	$(PYTEST)
	FUZZ=10000 $(PYTEST) -rP tests/fuzz

# the suite with checked indices; in a cache of its own, as a warm one would run unchecked code; pages run no kernel else
test-bounds: $(VENV)/dev
	NUMBA_BOUNDSCHECK=1 NUMBA_CACHE_DIR=$$(mktemp -d) $(PYTEST) -m "not slow" --ignore tests/docs

test-kills: $(VENV)/dev
	$(BIN)/python -m tests.broken_off kill --number $(KILLS) --seed $(SEED)

test-interrupts: $(VENV)/dev
	$(BIN)/python -m tests.broken_off interrupt --number $(TRIES) --seed $(SEED)

# arrays go from one environment to the other as .npz files; LOSSES=folder keeps the losses of the fine-tunings
test-keras: $(VENV)/dev $(KERAS_VENV)/done
	KERAS_PYTHON=$(KERAS_VENV)/bin/python $(BIN)/python -m pytest -s tests/t5/test_keras.py tests/t5/test_keras_preset.py tests/docs/test_pages.py -k "keras or tensorflow or jax"

test-tokenizers: $(VENV)/dev $(TOKENIZERS_VENV)/done
	TOKENIZERS_PYTHON=$(TOKENIZERS_VENV)/bin/python $(BIN)/python -m pytest tests/tokenization/test_tokenizers_1.py

$(TOKENIZERS_VENV)/done:
	$(PYTHON) -m venv $(TOKENIZERS_VENV)
	$(TOKENIZERS_VENV)/bin/pip install --quiet --disable-pip-version-check --pre "tokenizers>=1.0.0rc3,<2"
	@touch $@

check: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_architecture.py tests/test_english.py

dist: $(VENV)/dev
	$(BIN)/python -m build --outdir dist
	$(BIN)/python -m build --outdir dist/again
	cd dist && sha256sum *.whl *.tar.gz > SHA256SUMS && cd again && sha256sum --check ../SHA256SUMS
	$(BIN)/twine check --strict dist/*.whl dist/*.tar.gz

docs: $(VENV)/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

bench: $(VENV)/bench
	$(BIN)/python benchmarks/count.py $(CORPUS)
	$(BIN)/python benchmarks/train.py $(CORPUS)

bench-all: $(VENV)/bench
	$(BIN)/python benchmarks/all.py $(CORPUS) $(BENCH)
	$(BIN)/python benchmarks/pages.py

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/core: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(INSTALL) -e .
	@touch $@

$(VENV)/t5: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(INSTALL) -e ".[t5]"
	@touch $@ $(VENV)/core

$(VENV)/dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(INSTALL) -e ".[dev,docs,t5,ray,onnx,gguf]"
	@touch $@ $(VENV)/core

$(KERAS_VENV)/done: pyproject.toml
	$(PYTHON) -m venv $(KERAS_VENV)
	$(KERAS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -e ".[keras]"
	@touch $@

$(VENV)/docs: pyproject.toml constraints.txt | $(VENV)/core
	$(INSTALL) -e ".[docs]"
	@touch $@

$(VENV)/bench: $(VENV)/dev
	$(INSTALL) -e ".[bench,export]"
	@touch $@

clean:
	rm -rf $(VENV) $(KERAS_VENV) .venv-peers dist build .mypy_cache .pytest_cache .ruff_cache
