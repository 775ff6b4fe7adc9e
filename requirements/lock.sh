#!/bin/sh
# Locks what the .in files ask for: every version for every Python from 3.11 on, with hashes, without registry addresses.
# The files agree because each is locked under the constraints of the largest.
set -eu
cd "$(dirname "$0")"
uv pip compile dev.in -o dev.txt --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
    --no-annotate --quiet --custom-compile-command requirements/lock.sh
for name in local services supervisor pip tracing; do
    uv pip compile "$name.in" -c dev.txt -o "$name.txt" --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-annotate --quiet --custom-compile-command requirements/lock.sh
done
