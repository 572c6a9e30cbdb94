"""Who pays for a pruning: images and classes, dense and pruned."""

import streamlit as st

from winnow.dashboard.frames import maps, who_pays
from winnow.dashboard.pages.prune.before_after import pruned_source
from winnow.dashboard.shared import who_pays as view
from winnow.engine.runs.derived import DerivedJob
from winnow.engine.runs.run import Run
from winnow.engine.runs.work_folder import LIVE

OLDER = "This pruning was made by an older version, which did not judge every image. Prune again to see who pays."
LATER = "Every image is judged once the pruned network is final."


def paying(run: Run, shown: DerivedJob) -> None:
    """Draw which images and classes lost by a pruning."""
    judged = who_pays.of_pruning(shown)
    if judged.images.empty:
        st.info(LATER if shown.status.state in LIVE else OLDER, icon=":material/group:")
        return
    store = maps.store(shown)
    stores = {"": store} if store is not None else {}
    view.who_pays(view.View(judged, ("dense", "pruned"), stores, pruned_source(run, shown, "val")))
