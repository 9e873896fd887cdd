# Everyday commands. They need Python 3.10 or newer and make; everything else goes into .venv.
#
#   make demo    install, animate the embedded portrait, write demo.mp4
#   make test    install what tests need, lint, type-check, check the layers, run all tests
#   make test-integrations   test the adapters with LiveKit, Pipecat and FastRTC (1.6 GB, its own .venv)
#   make lint    only the checks that need no test run
#   make bench   measure the whole path on this machine
#   make clean   remove .venv, caches and demo.mp4
#
# Another interpreter: make PYTHON=python3.12 demo
# PyPI's PyTorch for Linux brings 2 GB of CUDA that tests do not need. The CPU build alone:
#   make test TORCH="torch==2.13.0 --extra-index-url https://download.pytorch.org/whl/cpu"

PYTHON ?= python3
TORCH ?= torch==2.13.0
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo test test-integrations lint bench clean

demo: $(VENV)/installed
	@$(BIN)/visavis animate --demo -o "$(CURDIR)/demo.mp4"

test: lint
	@$(BIN)/python -m pytest

# Gradio leaks event loops, which pytest would count as errors.
test-integrations:
	@$(PYTHON) -m venv .venv-integrations
	@.venv-integrations/bin/pip install -q --disable-pip-version-check -e ".[live]" pytest hypothesis \
	  livekit-agents==1.8.9 livekit==1.1.21 pipecat-ai==1.14.0 fastrtc==0.0.34
	@.venv-integrations/bin/python -m pytest tests/integrations \
	  -W ignore::ResourceWarning -W ignore::pytest.PytestUnraisableExceptionWarning

lint: $(VENV)/installed-dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@if $(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then $(BIN)/mypy; \
	  else echo "mypy: left out, NumPy's types need Python 3.11"; fi
	@$(BIN)/lint-imports

bench: $(VENV)/installed
	@$(BIN)/visavis bench

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis demo.mp4

$(VENV)/installed: pyproject.toml | $(BIN)/pip
	@echo "Installing Visavis into $(VENV) ..."
	@$(PIP) install -q -e .
	@touch $@

$(VENV)/installed-dev: pyproject.toml | $(BIN)/pip
	@echo "Installing Visavis and its test tools into $(VENV) ..."
	@$(PIP) install -q $(TORCH)
	@$(PIP) install -q -e ".[dev]"
	@touch $@ $(VENV)/installed

# Debian and Ubuntu ship python3 without ensurepip unless python3-venv is installed; then uv,
# virtualenv, the system's pip, or a downloaded one (pip.pyz, by pip's authors) does the same.
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "Visavis needs Python 3.10 or newer; $(PYTHON) is older or missing." \
	       "Choose another one: make PYTHON=python3.12 demo"; exit 1; }
	@$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 \
	  || { rm -rf $(VENV); uv venv -q --seed --python $(PYTHON) $(VENV) 2>/dev/null; } \
	  || { rm -rf $(VENV); $(PYTHON) -m virtualenv -q $(VENV) 2>/dev/null; } \
	  || { rm -rf $(VENV); $(PYTHON) -m venv --without-pip $(VENV) 2>/dev/null && { \
	       $(PYTHON) -m pip -q --python $(BIN)/python install pip 2>/dev/null \
	       || { $(BIN)/python -c 'import urllib.request as u; u.urlretrieve("https://bootstrap.pypa.io/pip/pip.pyz", "$(VENV)/pip.pyz")' 2>/dev/null \
	            && $(BIN)/python $(VENV)/pip.pyz -q install pip; }; }; } \
	  || { rm -rf $(VENV); echo "Could not create $(VENV)." \
	       "On Debian or Ubuntu run: sudo apt install python3-venv"; exit 1; }
