#!/usr/bin/env python3
"""summary.py OUTDIR SPEC.json  -> one-line counts + failing ids; exit 1 on any failure.
A case fails when behavior is FAILED, or behaviorClose is FAILED, WRONG CODE, UNCLEAN or
FAILED BY CLIENT, or when it was selected but never reported (MISSING: the peer crashed, hung or
refused).  NON-STRICT fails in the sections that STRICT names (globs, blank between).  UNIMPLEMENTED (the peer declined permessage-deflate) fails only with FAIL_UNIMPLEMENTED=1."""
import json, os, sys
from fnmatch import fnmatch
from collections import Counter
from autobahntestsuite.caseset import CaseSet
from autobahntestsuite.case import Cases, CaseCategories, CaseSubCategories, CaseSetname, CaseBasename
out, specf = sys.argv[1:3]
spec = json.load(open(specf))
strict = os.environ.get('STRICT', '').split()
key = lambda c: [int(x) for x in c.split('.')]
want = CaseSet(CaseSetname, CaseBasename, Cases, CaseCategories, CaseSubCategories).parseSpecCases(spec)
try:
    index = json.load(open(os.path.join(out, 'index.json')))
except OSError:
    index = {}
bad = not index
for agent, res in sorted(index.items()) or [('(no report)', {})]:
    n, fail, sec = Counter(), [], {}
    for c in sorted(want, key=key):
        r = res.get(c)
        if r is None:
            v, why = 'MISSING', 'MISSING'
        else:
            b, bc = r['behavior'], r['behaviorClose']
            if b == 'FAILED': v = 'FAILED'
            elif b == 'UNIMPLEMENTED': v = b
            elif bc in ('FAILED', 'WRONG CODE', 'FAILED BY CLIENT'): v = 'FAILED'
            elif bc == 'UNCLEAN': v = 'UNCLEAN'
            else: v = b
            why = '%s/%s' % (b, bc) + ('' if r['remoteCloseCode'] is None else ' %s' % r['remoteCloseCode'])
        n[v] += 1
        s = sec.setdefault(c.split('.')[0], [Counter(), 0]); s[0][v] += 1; s[1] += (r or {}).get('duration', 0)
        loose = v == 'NON-STRICT' and any(fnmatch(c, glob) for glob in strict)
        if v in ('FAILED', 'UNCLEAN', 'MISSING') or loose or (v == 'UNIMPLEMENTED' and os.environ.get('FAIL_UNIMPLEMENTED') == '1'):
            fail.append((c, why))
    print('%s: %d OK, %d NON-STRICT, %d INFORMATIONAL, %d FAILED, %d UNCLEAN, %d UNIMPLEMENTED, %d MISSING' % (
        (agent,) + tuple(n[k] for k in ('OK', 'NON-STRICT', 'INFORMATIONAL', 'FAILED', 'UNCLEAN', 'UNIMPLEMENTED', 'MISSING'))))
    if os.environ.get('SECTIONS') == '1':
        for s in sorted(sec, key=int):
            print('   section %-2s %-60s %.1fs' % (s, ', '.join('%d %s' % (k, v) for v, k in sec[s][0].most_common()), sec[s][1] / 1000))
    if fail:
        bad = True
        print('FAILING: ' + ' '.join('%s(%s)' % f for f in fail))
sys.exit(1 if bad else 0)
