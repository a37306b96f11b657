#!/bin/sh
# Removes what the other targets made: .venv, the embedded stack's data, results of the demo, caches. The database of
# root's stack lies outside the data directory, where a link in it points. Refused while the data has an owner.
set -eu
cd "$(dirname "$0")/.."

DATA=.leaktrace

if [ -f $DATA/owner.lock ] && ! flock --nonblock $DATA/owner.lock true; then
    echo "error: process $(cat $DATA/owner.lock) is using $DATA: stop it first" >&2
    exit 1
fi
if [ -L $DATA/postgres ]; then
    rm -rf -- "$(readlink -f $DATA/postgres)"
fi
rm -rf -- .venv $DATA demo-results.ndjson demo-report.html build dist ./*.egg-info
rm -rf -- .pytest_cache .mypy_cache .ruff_cache .hypothesis .schemathesis
find . -name __pycache__ -type d -prune -exec rm -rf -- {} +
