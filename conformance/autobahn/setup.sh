#!/bin/bash
# setup.sh [DIR]  install the Python 3 port of the Autobahn TestSuite from PyPI into DIR (default: .venv beside this file)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd); d=${1:-$here/.venv}; mkdir -p "$d/dl"
python3 -m venv "$d/vabs"
"$d/vabs/bin/pip" install -q twisted==26.10.0 txaio==26.6.1 six==1.17.0 wsaccel==0.6.7 pyopenssl==26.4.0 service-identity==26.1.0
"$d/vabs/bin/pip" download -q --no-deps --no-binary autobahn,autobahntestsuite -d "$d/dl" autobahn==0.10.9 autobahntestsuite==25.10.1
(cd "$d/dl" && sha256sum -c --quiet "$here/sdists.sha256")
rm -rf "$d/site"
"$d/vabs/bin/python" "$here/port.py" "$d/dl/autobahntestsuite-25.10.1.tar.gz" "$d/dl/autobahn-0.10.9.tar.gz" "$d/site"
PYTHONPATH=$d/site "$d/vabs/bin/python" -W ignore -c "from autobahntestsuite.case import Cases; assert len(Cases) == 517; print('ok', len(Cases), 'cases')"
