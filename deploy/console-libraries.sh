#!/bin/sh
# Copies the console's front-end libraries, at the versions that package-lock.json pins by hash, from npm into the
# repository; nothing is built or changed on the way. With --check it only says whether the repository agrees with npm.
# Needs node and npm; neither running nor testing Leaktrace does.
set -eu
cd "$(dirname "$0")/.."

CONSOLE=api/console/static/vendor
TESTS=tests/browser/vendor
HERE=$(pwd)
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

# name in npm : file in the package : where it goes
FILES="
htmx.org:dist/htmx.min.js:$CONSOLE/htmx.js
htmx.org:LICENSE:$CONSOLE/LICENSE-htmx
@fontsource-variable/inter:files/inter-latin-wght-normal.woff2:$CONSOLE/inter.woff2
@fontsource-variable/inter:LICENSE:$CONSOLE/LICENSE-inter
axe-core:axe.min.js:$TESTS/axe.js
axe-core:LICENSE:$TESTS/LICENSE-axe
"

cp deploy/console-libraries/package.json deploy/console-libraries/package-lock.json "$WORK"
(cd "$WORK" && npm ci --ignore-scripts --no-audit --no-fund --silent)

different=0
for entry in $FILES; do
    package=${entry%%:*}
    rest=${entry#*:}
    source=$WORK/node_modules/$package/${rest%%:*}
    target=$HERE/${rest#*:}
    if [ "${1:-}" = --check ]; then
        cmp "$source" "$target" || different=1
    else
        mkdir -p "$(dirname "$target")"
        install -m 644 "$source" "$target"
    fi
done
exit $different
