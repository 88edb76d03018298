#!/usr/bin/env bash
# Builds everything in release mode and runs all tests; arguments go to `swift test` (e.g. --filter CodecsTests).
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/jobscripts/install.sh"
cd "$root"

# Tests look inside modules, which release builds allow only when asked; a folder of its own keeps the normal build intact.
flags=(-c release --scratch-path .build/tests -Xswiftc -enable-testing)
swift build "${flags[@]}" --build-tests </dev/null
swift test "${flags[@]}" --skip-build "$@" </dev/null
