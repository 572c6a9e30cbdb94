"""The sentence that a page opens with, and the glossary on hover of the words in it."""

import html
import re

import streamlit as st

from winnow.dashboard import navigation
from winnow.dashboard.frames.answers.answer import Answer
from winnow.dashboard.shared import address

GLOSSARY = {
    r"groups?": "Group: the weights that the penalty makes zero together. By default, all weights that read one input "
    "channel of a layer; or one filter; or one channel in all layers that write or read it.",
    r"strengths?": "Strength λ: the weight of the penalty in the loss. The larger it is, the more groups are zero.",
    r"MACs?": "MAC: one multiply–accumulate operation. Counted for one image; a zero left in place costs its MAC.",
    r"shares?": "Share of a task in a channel: the task's relevance there ÷ the sum over all tasks. Each task's "
    "relevance is first scaled to sum to 1 over all channels. With T tasks an equal share is 1/T.",
    r"Δ_m": "Δ_m: the mean over tasks of the relative gain over a baseline, in per cent. Above 0 is better.",
    r"[Ff]irmness|firmly": "Firmness of a dead group: the pull of the loss divided by the pull of the penalty. "
    "Below 1 the group stays zero.",
    r"skill": "Skill: 0 for the best prediction that ignores the image, 1 for a perfect one; the mean over tasks.",
    r"near the threshold": "Near the threshold: alive, with a norm below a tenth of the largest of its layer.",
    r"relevance": "Relevance of a channel for a task: by how much the task's output or loss depends on it.",
}
_WORDS = re.compile("|".join(rf"(?<![\w&#])({word})(?!\w)" for word in GLOSSARY))


def answer(found: Answer) -> None:
    """Draw what a page answers, and the way to the page to look at next."""
    st.session_state[address.CLAIM] = found.says
    then = f" <span>{glossed(found.then)}</span>" if found.then else ""
    with st.container(horizontal=True, vertical_alignment="top", wrap=False, key="answer"):
        st.html(f'<p class="answer"><strong>{glossed(found.says)}</strong>{then}</p>', width="stretch")
        if found.page:
            navigation.link(found.page, navigation.ENTRIES[found.page].title)


def glossed(text: str) -> str:
    """Return HTML that shows a text as it is; the first of each word of the glossary explains itself on hover."""
    seen: set[int] = set()

    def explained(word: re.Match[str]) -> str:
        place = word.lastindex or 0
        if place in seen:
            return word[0]
        seen.add(place)
        meaning = html.escape(list(GLOSSARY.values())[place - 1])
        return f'<abbr title="{meaning}" tabindex="0">{word[0]}</abbr>'

    return _WORDS.sub(explained, html.escape(text))
