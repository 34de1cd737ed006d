# sourced; sets PY, HERE, makes the spec
HERE=$(cd "$(dirname "$0")" && pwd)
PY=$HERE/.venv/vabs/bin/python
export PYTHONPATH=$HERE/.venv/site PYTHONWARNINGS=ignore
mkspec() { # file outdir url-or-empty cases...
  local f=$1 out=$2 url=$3 agent=$4; shift 4
  [ $# -gt 0 ] || set -- '*'
  "$PY" - "$f" "$out" "$url" "$agent" "$@" <<'P'
import json, os, sys
f, out, url, agent, *cases = sys.argv[1:]
spec = {"outdir": out, "cases": cases, "exclude-cases": os.environ.get("EXCLUDE", "").split(), "exclude-agent-cases": {}}
if agent == "@server": spec["url"] = url
else: spec["servers"] = [{"url": url, **({"agent": agent} if agent else {})}]
json.dump(spec, open(f, "w"))
P
}
