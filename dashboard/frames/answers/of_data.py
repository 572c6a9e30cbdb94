"""What the page Data answers: how large is a data set, how much of it is labelled, and is anything wrong with it."""

import pandas as pd

from winnow.dashboard.frames.answers.answer import Answer, count, joined_up, percent


def data_answer(splits: pd.DataFrame, coverage: pd.DataFrame, findings: int) -> Answer:
    """Say how many samples each split has, which task is labelled least, and how much is wrong."""
    if splits.empty:
        return Answer(f"No split can be read. {_wrong(findings)}", "Findings says why.")
    sizes = joined_up(f"{row.samples:,} in {row.split}" for row in splits.itertuples())
    says = f"{count(int(splits['samples'].sum()), 'sample')}: {sizes}. {_labelled(coverage)}{_wrong(findings)}"
    return Answer(says, "Findings says where, and how to fix it." if findings else "")


def _labelled(coverage: pd.DataFrame) -> str:
    """Say whether every image has every target, or which task lacks most."""
    known = coverage[coverage["samples"] > 0]
    if known.empty:
        return ""
    least = known.iloc[int((known["images"] / known["samples"]).to_numpy(float).argmin())]
    if least["images"] == least["samples"]:
        return "Every image has a target of every task. "
    share = percent(100 * float(least["images"]) / float(least["samples"]))
    return f"Least labelled: {least['task']} in {least['split']}, {share} of the images. "


def _wrong(findings: int) -> str:
    return f"{count(findings, 'finding')}." if findings else "Nothing is wrong."
