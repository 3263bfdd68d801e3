"""Why a score is low: what is wrong with codes, factor by factor, and what mending it would give.

`diagnose.py` is the way through it: `points.py` takes what is given, `information.py` and
`probes.py` measure, `causes.py` decides by trying the mends of `mends.py`, and every mend is scored
by the metrics themselves.
"""

from srvae_plugin.metrics.diagnosis.diagnose import Findings, diagnose_codes
from srvae_plugin.metrics.diagnosis.finding import KINDS, Finding

__all__ = ["KINDS", "Finding", "Findings", "diagnose_codes"]
