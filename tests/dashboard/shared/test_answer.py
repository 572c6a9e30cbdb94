from winnow.dashboard.shared.answer import GLOSSARY, glossed


def test_the_first_of_each_word_of_the_glossary_explains_itself() -> None:
    found = glossed("3 groups of 7 groups are zero, 2 MACs go; Δ_m is +1 %")
    assert found.count("<abbr") == 3
    assert found.startswith('3 <abbr title="Group: the weights')


def test_a_name_is_text_and_never_markup() -> None:
    found = glossed('<b onclick="x">deep</b> & "group"')
    assert "<b" not in found.replace("<abbr", "")
    assert "&lt;b onclick=&quot;x&quot;&gt;" in found


def test_a_word_inside_another_is_none() -> None:
    assert "<abbr" not in glossed("subgroup, grouped, skills, shareholder")


def test_every_meaning_fits_a_title() -> None:
    assert all(len(meaning) < 300 for meaning in GLOSSARY.values())
