#!/bin/bash
# fuzz-server.sh URL [case-globs...]   test the server at URL (fuzzingclient mode).
# env: EXCLUDE="9.* 12.* 13.*"  OUT=reportdir  AGENT=name  TIMEOUT=seconds (default 900)  STRICT="6.4.*"  SECTIONS=1
. "$(dirname "$0")/common.sh"
url=${1:?url}; shift
set -f
OUT=${OUT:-$(mktemp -d -t fuzz-server.XXXXXX)}; mkdir -p "$OUT"; rm -f "$OUT/index.json"
mkspec "$OUT/spec.json" "$OUT" "$url" "${AGENT:-server}" "$@"
timeout -k 5 "${TIMEOUT:-900}" "$PY" -m autobahntestsuite fuzzingclient "$OUT/spec.json" > "$OUT/run.log" 2>&1
rc=$?
[ $rc -eq 0 ] || echo "runner exit $rc (124 = timeout), see $OUT/run.log"
"$PY" "$HERE/summary.py" "$OUT" "$OUT/spec.json" || rc=1
exit $rc
