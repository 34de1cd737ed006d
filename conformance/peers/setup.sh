#!/bin/bash
# setup.sh  install Python's websockets beside this file
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python3 -m venv "$here/.venv"
"$here/.venv/bin/pip" install -q -r "$here/requirements.txt"
touch "$here/.venv/done"
