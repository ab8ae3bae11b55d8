# Needed beforehand: Python >= 3.11 with headers and a C compiler. All else goes into .venv/.
PYTHON ?= python3
BUILD := build
TEST := .venv/test/bin
PIP := -m pip install --quiet --disable-pip-version-check

.DELETE_ON_ERROR:
.PRECIOUS: .venv/%/pyvenv.cfg
.PHONY: help demo test accuracy sanitize msan coverage valgrind neon bench clean

help:
	@echo 'make demo      train two NumPy networks on real data, with and without crossent'
	@echo 'make test      install, then Python tests, C tests, and NEON under emulation'
	@echo 'make accuracy  search for the largest errors (SECONDS=3600); a table in build/accuracy.md'
	@echo 'make sanitize  the C tests under AddressSanitizer and UndefinedBehaviorSanitizer'
	@echo 'make msan      the C tests under MemorySanitizer (clang)'
	@echo 'make coverage  the lines of csrc/ that the C tests reach: 90 % at least'
	@echo 'make neon      the C tests for 64-bit ARM, cross-compiled and emulated'
	@echo 'make bench     crossent beside NumPy, SciPy, PyTorch, JAX, scikit-learn, Numba; build/bench/'
	@echo '               (BENCH= measures everything)'
	@echo 'make clean     remove build/ and .venv/'
	@echo 'PYTHON=...     the interpreter to use (now: $(PYTHON))'

.venv/%/pyvenv.cfg:
	@echo '== making the virtual environment .venv/$*'
	@$(PYTHON) -m venv .venv/$*

# All that `make test` needs is installed first: then nothing is built in an environment of its own.
$(TEST)/ctest: .venv/test/pyvenv.cfg
	@echo '== installing the test tools'
	@$(TEST)/python $(PIP) $$($(TEST)/python -c "import tomllib; \
		project = tomllib.load(open('pyproject.toml', 'rb')); \
		print(*project['build-system']['requires'], *project['project']['dependencies'], \
		      *project['project']['optional-dependencies']['test'])")
	@touch $@

demo: .venv/demo/pyvenv.cfg
	@echo '== building and installing crossent for the demo (takes a minute or so)'
	@.venv/demo/bin/python $(PIP) '.[demo]'
	@echo '== running the demo'
	@.venv/demo/bin/python examples/demo.py

# One build serves the Python tests and the C tests.
test: $(TEST)/ctest
	@echo '== building and installing crossent (takes minutes)'
	@$(path) && $(TEST)/python $(PIP) --no-build-isolation --no-deps --force-reinstall \
		-C build-dir=$(BUILD)/test -C cmake.define.CROSSENT_TESTS=ON .
	@echo '== Python tests'
	@$(TEST)/python -m pytest -q -m 'not slow' -n 2 --dist worksteal
	@$(MAKE) --no-print-directory valgrind
	@echo '== C tests'
	@$(path) && $(call c_tests,test)
	@$(MAKE) --no-print-directory neon NATIVE=test

# $(call c_build,NAME,OPTIONS): configure and build the C core and its tests in build/NAME.
path = export PATH="$(CURDIR)/$(TEST):$$PATH"
c_build = $(path) && \
	cmake --fresh -S . -B $(BUILD)/$(1) -G Ninja $(2) >/dev/null && \
	cmake --build $(BUILD)/$(1) -- --quiet
c_tests = ctest --test-dir $(BUILD)/$(1) --output-on-failure --no-tests=error --parallel 4

# CROSSENT_ISA=avx2 in the environment searches another instruction set.
SECONDS ?= 3600
accuracy: .venv/test/pyvenv.cfg
	@echo '== building and installing crossent with its test tools (takes a minute or so)'
	@$(TEST)/python $(PIP) '.[test]'
	@mkdir -p $(BUILD)
	@echo '== searching for the largest errors for $(SECONDS) seconds'
	@$(TEST)/python -m tests.search --seconds $(SECONDS) | tee $(BUILD)/accuracy.md

sanitize: $(TEST)/ctest
	@echo '== C tests under AddressSanitizer and UndefinedBehaviorSanitizer'
	@$(call c_build,sanitize,-DCROSSENT_SANITIZE=ON) && $(call c_tests,sanitize)

# On the scalar set.
msan: $(TEST)/ctest
	@set -e; \
	if ! command -v clang >/dev/null; then echo '== NOT LOOKED AT: install clang'; exit; fi; \
	echo '== C tests under MemorySanitizer'; \
	$(call c_build,msan,-DCMAKE_C_COMPILER=clang -DCROSSENT_SANITIZE=memory \
		-DCMAKE_DISABLE_FIND_PACKAGE_OpenMP=ON) && $(call c_tests,msan)

# The lines of csrc/ that the C tests reach on one scalar and one vector set. The vocabularies'
# words are all tested, set by set (simd_).
coverage: $(TEST)/ctest
	@$(TEST)/python $(PIP) gcovr
	@echo '== C tests, counting the lines that they reach'
	@$(call c_build,coverage,-DCMAKE_BUILD_TYPE=Debug "-DCMAKE_C_FLAGS=-O0 --coverage")
	@find $(BUILD)/coverage -name '*.gcda' -delete
	@$(call c_tests,coverage) -R 'math|simd_|_scalar$$|_avx2$$'
	@$(TEST)/python -m gcovr --root . --filter csrc/ --merge-mode-functions=merge-use-line-min \
		--exclude-directories '.*CompilerId.*' --txt --fail-under-line 90 $(BUILD)/coverage

have_apt = [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null
apt_install = { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y \
	--no-install-recommends $(1) >/dev/null; } || true

# The C tests count instructions with it; elsewhere than on x86-64 there is nothing to count.
valgrind:
	@set -e; \
	case "$$($(CC) -dumpmachine)" in x86_64*) ;; *) exit 0;; esac; \
	if ! command -v valgrind >/dev/null && $(have_apt); then \
		echo '== installing valgrind'; \
		$(call apt_install,valgrind); \
	fi; \
	if ! command -v valgrind >/dev/null; then \
		echo '== INSTRUCTIONS NOT COUNTED: install valgrind'; \
		test "$$CI" != true; \
	fi

have_arm_tools = { command -v aarch64-linux-gnu-gcc && command -v qemu-aarch64-static; } >/dev/null

# The emulated build has to give the bits of the native one, in build/$(NATIVE).
NATIVE ?= native
DIGESTS := kernels options weighted sigmoid train linear probabilities
neon: $(TEST)/ctest
	@set -e; \
	case "$$($(CC) -dumpmachine)" in aarch64*|arm64*) \
		echo '== NEON is native here: covered by the C tests'; exit 0;; \
	esac; \
	if ! $(have_arm_tools) && $(have_apt); then \
		echo '== installing the ARM cross compiler and the emulator'; \
		$(call apt_install,gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static); \
	fi; \
	if ! $(have_arm_tools); then \
		echo '== NEON NOT TESTED: install gcc-aarch64-linux-gnu and qemu-user-static (Debian names)'; \
		test "$$CI" != true; exit; \
	fi; \
	echo '== C tests for 64-bit ARM under emulation'; \
	if [ $(NATIVE) = native ]; then $(call c_build,native); fi && \
	digests=$$(for test in $(DIGESTS); do \
		printf '%s=%s ' $$test $$($(BUILD)/$(NATIVE)/test_$$test --digest); done) && \
	$(call c_build,neon,-DCMAKE_TOOLCHAIN_FILE=.ci/aarch64.cmake "-DCROSSENT_DIGESTS=$$digests") && \
	$(call c_tests,neon)

# `make bench BENCH=` measures everything: add 7 minutes and a few gigabytes of memory.
BENCH ?= --quick
bench: .venv/bench/pyvenv.cfg
	@echo '== building and installing crossent and its rivals (minutes; PyTorch is a large download)'
	@.venv/bench/bin/python $(PIP) '.[bench]'
	@mkdir -p $(BUILD)/bench
	@echo '== the cases of crossent alone (2 minutes)'
	@.venv/bench/bin/python -m pytest -q benchmarks --benchmark-enable --benchmark-only \
		--benchmark-columns=median,iqr,rounds --benchmark-max-time=0.3 \
		--benchmark-json=$(BUILD)/bench/crossent.json
	@echo '== crossent beside others (quick: 2 minutes; whole, with BENCH=: 7)'
	@.venv/bench/bin/python benchmarks/compare.py --out $(BUILD)/bench $(BENCH)

clean:
	rm -rf $(BUILD) .venv
