"""Rank correlation, with ties: two columns say the same if they order things alike. Free of torch."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike


def spearman(one: ArrayLike, other: ArrayLike) -> float:
    """Return Spearman's rank correlation of two vectors, in [-1, 1]; pairs with a NaN are left out.

    NaN for fewer than three pairs, or where one of the two is constant: no order, nothing to compare.
    """
    pairs = pd.DataFrame({"one": np.asarray(one, float), "other": np.asarray(other, float)}).dropna()
    if len(pairs) < 3 or (pairs.nunique() < 2).any():
        return float("nan")
    ranks = pairs.rank().to_numpy()
    return float(np.corrcoef(ranks[:, 0], ranks[:, 1])[0, 1])
