"""The certificate on every architecture of the zoo, at four shares of random zero groups of each kind."""

from collections.abc import Callable

import pytest

from tests.engine.graph.zoo import ZOO
from tests.engine.pruning.test_compact import GROUPS, silenced
from winnow.engine.pruning import compact

pytestmark = pytest.mark.bench
SHARES = (0.3, 0.5, 0.7, 0.9)


@pytest.mark.parametrize("kind", GROUPS)
def test_the_certificate_holds_everywhere(kind: str, figure: Callable[[str, object, str], None]) -> None:
    found = [
        compact(*silenced(name, kind, share), gather=mode).certificate
        for name in ZOO
        for share in SHARES
        for mode in ("never", "always")
    ]
    single = max(certificate.relative_error_float32 for certificate in found)
    double = max(certificate.relative_error_float64 for certificate in found)
    figure(f"{kind} groups, {len(found)} certificates, largest relative error float32", f"{single:.1e}", "≤ 1e-4")
    figure(f"{kind} groups, {len(found)} certificates, largest relative error float64", f"{double:.1e}", "≤ 1e-10")
    assert single <= 1e-4
    assert double <= 1e-10
