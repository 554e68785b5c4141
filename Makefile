# The two commands of the README: `make demo` and `make test`. Each sets up .venv on its own and reuses what is there.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

# PYTHON: 3.11, 3.12 or 3.13. STACK: openmmlab or onedl; without it OpenMMLab's packages, on 3.13 the onedl forks.
PYTHON ?= python3.11
STACK ?=
VENV := .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready
# An environment is of one Python and one stack: whoever names them is told where it is of others.
ASKED := $(strip $(if $(filter file,$(origin PYTHON)),,$(PYTHON)) $(STACK))
ifneq ($(ASKED),)
ifneq ($(ASKED),$(shell cat $(READY) 2>/dev/null))
.PHONY: $(READY)
endif
endif
# One computing thread in each process of the tests: two on two busy cores spin.
export PYTHONWARNINGS := ignore::UserWarning,ignore::DeprecationWarning,ignore::FutureWarning

.PHONY: env test fuzz soak survey demo demo-seg demo-events demo-own docs gallery lint clean exports
env: $(READY)

$(READY): requirements/lock.txt requirements/install.sh setup.py mmsterf.pth
	@bash requirements/install.sh "$(PYTHON)" "$(VENV)" $(STACK)
	@echo $(ASKED) > $@

lint: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

# make test DEVICE=cuda: what a GPU computes differently (kernels, heads) is compared with the CPU there.
# WORKERS files of tests at a time; a file's tests stay together, for what they share. A worker that dies is not
# replaced: with a file's tests kept together, pytest-xdist waits for ever then.
DEVICE ?= cpu
WORKERS ?= 2
test: lint
	OMP_NUM_THREADS=1 $(RUN) -m pytest --numprocesses $(WORKERS) --dist loadfile --max-worker-restart 0 --device $(DEVICE)

# Bad inputs of every tool; the last line is the pass rate. `make test` runs a sample of them.
fuzz: $(READY)
	OMP_NUM_THREADS=1 CUDA_VISIBLE_DEVICES= $(RUN) tests/fuzz --mutations 60

# Trainings killed at random moments and resumed; the last line is the rate.
soak: $(READY)
	OMP_NUM_THREADS=1 CUDA_VISIBLE_DEVICES= $(RUN) tests/soak

# Every config exported to ONNX and OpenVINO; the last line is the number.
exports: $(READY)
	OMP_NUM_THREADS=1 CUDA_VISIBLE_DEVICES= $(RUN) tests/exports

# ST-ERF of every config family of mmdet and mmseg; the last line is the total. Goes on where it was stopped.
survey: $(READY)
	OMP_NUM_THREADS=1 CUDA_VISIBLE_DEVICES= $(RUN) benchmarks/survey.py

demo: $(READY)
	$(RUN) tools/demo.py

# The same with segmentation.
demo-seg: $(READY)
	$(RUN) tools/demo.py --task seg

# Detection before a simulated event camera.
demo-events: $(READY)
	$(RUN) tools/demo.py --task events

# Own pictures in three commands: make demo-own DATA=FOLDER [TASK=det|seg|cls] [MINUTES=10]; digit scenes without DATA.
TASK ?= det
MINUTES ?= 10
demo-own: $(READY)
	$(RUN) tools/demo_own.py $(DATA) --task $(TASK) --minutes $(MINUTES)

# The documentation site in site/, in an environment of its own; the notebook is run in the project's.
docs: $(READY) .venv-docs/.ready
	NO_MKDOCS_2_WARNING=1 CUDA_VISIBLE_DEVICES= .venv-docs/bin/mkdocs build

.venv-docs/.ready: requirements/docs.txt
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/pip install --quiet --disable-pip-version-check --requirement requirements/docs.txt
	@touch $@

# What the tools draw, and docs/images, on one sheet to look at: work_dirs/gallery/sheet.png.
gallery: $(READY)
	CUDA_VISIBLE_DEVICES= $(RUN) tools/release/gallery.py

clean:
	rm -rf $(VENV) .venv-docs site build dist *.egg-info
