# `make demo` and `make test` do all the set-up on a fresh Debian machine.

VENV := .venv
PYTHON := $(VENV)/bin/python
SYSTEM_PYTHON := /usr/bin/python3
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: demo test clean

demo: $(VENV)/.ready
	@sh tests/demo.sh

test: $(VENV)/.ready | test-packages
	$(PYTHON) -m pytest -n 2

# Debian packages, only those that are missing: an ordinary user without sudo can go on when all
# are there.
packages:
	@missing=""; \
	need() { missing="$$missing $$1"; }; \
	$(SYSTEM_PYTHON) -c 'import ensurepip, venv' 2>/dev/null || need python3-venv; \
	$(SYSTEM_PYTHON) -c 'import os, sysconfig; os.stat(sysconfig.get_path("include") + "/Python.h")' \
	  2>/dev/null || need python3-dev; \
	command -v gcc >/dev/null || need "gcc libc6-dev"; \
	command -v accel-config >/dev/null || need accel-config; \
	[ -e /usr/include/accel-config/libaccel_config.h ] || need libaccel-config-dev; \
	[ -e /usr/include/uuid/uuid.h ] || need uuid-dev; \
	[ -e /usr/include/isa-l/igzip_lib.h ] || need "libisal-dev libisal2"; \
	[ -e /usr/include/libdeflate.h ] || need libdeflate-dev; \
	[ -e /usr/include/zlib.h ] || need zlib1g-dev; \
	[ -e /usr/include/zstd.h ] || need libzstd-dev; \
	command -v lspci >/dev/null || [ -x /usr/bin/lspci ] || need pciutils; \
	command -v udevadm >/dev/null || [ -x /usr/bin/udevadm ] || need udev; \
	ldconfig -p 2>/dev/null | grep -q libfuse3 || [ -e /sbin/mount.fuse3 ] || need fuse3; \
	if [ -n "$$missing" ]; then \
	  echo "installing:$$missing"; \
	  sudo=""; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	  $$sudo apt-get update -qq && \
	  $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
	    $$missing >/dev/null; \
	fi

$(VENV)/.ready: pyproject.toml $(wildcard iaactl/native/*) $(wildcard iaactl/native/include/*) | packages
	[ -x $(PYTHON) ] || $(SYSTEM_PYTHON) -m venv $(VENV)
	$(PYTHON) -m pip install -q --disable-pip-version-check 'pip>=25.1'
	$(PYTHON) -m pip install -q --disable-pip-version-check -e '.[sim,html]' --group dev
	touch $@

# Tests of the layer `qemu` want a real emulator; without it they are skipped, and say so.
test-packages:
	@command -v qemu-system-x86_64 >/dev/null || { \
	  echo "installing: qemu-system-x86"; \
	  sudo=""; [ "$$(id -u)" = 0 ] || sudo="sudo -n"; \
	  $$sudo apt-get update -qq && $$sudo env DEBIAN_FRONTEND=noninteractive \
	    apt-get install -y -qq --no-install-recommends qemu-system-x86 >/dev/null; \
	} || echo "qemu-system-x86 is not to be had: its tests will be skipped"

.PHONY: packages test-packages
clean:
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .suites
