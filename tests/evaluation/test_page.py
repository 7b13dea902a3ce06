"""The report page: what stands in it, computed by hand for a small made-up report."""

import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from made_up_page import BASELINE, CLASSES, FINAL, LEAKAGE, NASTY, content, entry, row, rows
from PIL import Image

from fer_core.errors import DataError
from fer_core.evaluation.calibration import reliability
from fer_core.evaluation.page import captions
from fer_core.evaluation.page.build import page
from fer_core.evaluation.page.content import Picture
from fer_core.evaluation.page.faces import attention_runs, hardest, jpeg
from fer_core.evaluation.page.figures import draw
from fer_core.evaluation.page.table import gains_table
from fer_core.pages.html import Markup, escape, prose, table, tag

VOID = {"img", "input", "meta", "br"}


class Reader(HTMLParser):
    """Notes what a page holds, and refuses tags that do not close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] not in (["script"], ["style"]):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


def built(**changes) -> str:
    whole = content(**changes)
    return page(whole, draw(whole))


@pytest.fixture(scope="module")
def whole() -> str:
    return built()


def cells(html: str, technique: str, view: str) -> list[str]:
    """The texts of a row's cells in the group of one view."""
    body = html.split(f'<tbody data-views="{view}">')[1]
    return texts(next(part for part in body.split("<tr") if f"The {technique}" in part))


def texts(line: str) -> list[str]:
    """The texts of the cells of one line of a table."""
    return [Reader(f"<p>{part}</p>").text for part in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", line)]


def test_texts_are_escaped_and_markup_is_not():
    assert tag("td", NASTY, title=NASTY) == '<td title="&lt;b&gt;&amp;&quot;">&lt;b&gt;&amp;&quot;</td>'
    assert tag("td", Markup("<b>x</b>"), ["a", 1, None]) == "<td><b>x</b>a1</td>"
    assert tag("input", checked=True, hidden=False, name="n") == '<input checked name="n">'
    assert prose("**a** `<b>` < c") == "<strong>a</strong> <code>&lt;b&gt;</code> &lt; c"
    assert escape(0.5) == "0.5"


def test_a_row_with_too_few_cells_is_refused():
    with pytest.raises(DataError, match=r"Expected 2 cells in a row of the table 'Things'; got 1\."):
        table(["a", "b"], [["x"]], "Things")


def test_the_page_is_whole_and_asks_nobody(whole: str):
    found = Reader(whole)
    identities = [attributes["id"] for _, attributes in found.tags if "id" in attributes]
    assert len(identities) == len(set(identities)) > 10
    links = [attributes["href"] for name, attributes in found.tags if name == "a"]
    assert all(link[0] == "#" and link[1:] in identities for link in links)
    assert [name for name, _ in found.tags].count("h1") == 1
    assert set(re.findall(r"https?://[^\s\"'<)]+", whole)) <= {"http://www.w3.org/2000/svg"}
    sources = [attributes["src"] for name, attributes in found.tags if "src" in attributes]
    assert sources and all(source.startswith("data:image/jpeg;base64,") for source in sources)
    assert not [name for name, _ in found.tags if name in ("link", "iframe")]
    assert "default-src 'none'" in whole
    assert all(attributes.get("alt") for name, attributes in found.tags if name == "img")


def test_the_same_report_gives_the_same_bytes(whole: str):
    assert built() == whole


def test_a_class_named_like_html_stays_text(whole: str):
    assert NASTY not in whole
    assert NASTY in Reader(whole).text


def test_the_head_says_what_counts(whole: str):
    text = Reader(whole).text
    assert "What each technique gave on Made-up faces" in text
    assert "Baseline 53.8 % → final 76.9 %: +23.1 points [5.0, 41.0]; the roadmap claims 55 → 65" in text
    assert "Generated faces, not people." in text
    assert "Rungs kept1 of 2" in text
    # of three that were tried one has its interval above 0, and a corrected p of 0.06
    assert "1 of 30 of them after Holm's correction for 5 tests" in text
    assert "Minimum detectable gain12.5 points" in text
    assert "±1.4 pointsstandard deviation over 3 seeds" in text


def test_a_rows_cells(whole: str):
    assert cells(whole, "loss", "alone") == [
        *("The loss", "63.3", "–", "–", "+9.5 [5.0, 14.0]", "–", "2–4", "▲above the claim", "0.03", "0.06", "60", "–"),
        *("–", "+9.5", "–", "1never <sad>"),
    ]
    assert cells(whole, "vit", "alone")[4:8] == ["−11.4 [−15.3, −7.6]", "–", "5–12", "▼harmful"]
    assert cells(whole, "votes", "alone")[7] == "–not applicableno votes"
    assert cells(whole, "baseline", "phase alone ladder")[5:8] == ["±1.4 3 seeds", "–", "◆reference"]
    assert cells(whole, "vit", "ladder")[0] == "The vit · not kept"


def test_what_a_row_lacks_is_missing_not_zero():
    plain = {key: value for key, value in row("loss", "alone", (1.0, -1.0, 3.0)).items() if value is not None}
    plain |= {"claimed_low": None, "claimed_high": None, "phase": None}
    html = gains_table([row("baseline", "ladder", None), plain]).split("<tbody")[2]
    assert re.findall(r'data-value="([^"]*)"', html) == [
        *("The loss", "0.5", "", "", "1.0", "", "", "not distinguishable from 0", "0.03", "0.06", "60.0", "", ""),
        *("1.0", "", "0.0"),
    ]


def test_the_filter_offers_the_views_that_there_are(whole: str):
    assert re.findall(r'name="view" value="(\w+)"', whole) == ["all", "phase", "alone", "ladder", "vote"]
    assert re.findall(r'data-views="([^"]*)"', whole) == ["phase alone ladder", "phase", "alone", "ladder", "vote"]
    more = gains_table([*rows(), row("loss", "without", (1.0, 0.5, 2.0)), row("lstm", "clip", None)])
    assert re.findall(r'name="view" value="(\w+)"', more)[4:] == ["without", "vote", "clip"]


def test_captions_say_what_the_numbers_say():
    table, small = rows(), content()
    assert captions.ladder_caption(table) == (
        "One of 2 rungs was kept. The largest step up is **The loss**, +23.1 [5.0, 41.0] points; of the kept rungs' "
        "intervals 1 of 1 lies above 0. Not kept for their macro-F1 on validation, though more accurate on test faces: "
        "The vit."
    )
    assert captions.alone_caption(table) == (
        "Alone, 1 of 3 techniques have an interval above 0, 1 below. The largest gain is **The loss**, "
        "+9.5 [5.0, 14.0]. Of the 1 that help alone and are rungs too, 1 help on top of the others as well."
    )
    wrong = captions.confusion_caption(np.array(BASELINE), CLASSES)
    assert (
        wrong == f"6 of 13 faces are named wrongly; the most frequent error is **{NASTY}** taken for **glad**, 3 of 4."
    )
    assert captions.confusion_caption(np.eye(3, dtype=int), CLASSES) == "No test face was named wrongly."
    assert captions.difference_caption(small) == (
        f"Recall rises in 2 classes and falls in 0. It rises most in **{NASTY}** (+50 points)."
    )
    assert captions.recall_caption(small) == (  # the one largest class and the one smallest, of three
        "Mean recall of the 1 largest classes: 75.0 % → 87.5 %; of the 1 smallest: 0.0 % → 0.0 %. "
        "Never recognised at the end: sad."
    )
    assert captions.cost_caption(table) == (
        "Most for a minute of training: **The loss**, +9.5 points. The dearest is **The vit**: 60 s for "
        "−11.4 [−15.3, −7.6] points."
    )
    said = captions.learning_caption(small.histories, {"baseline": True, "alone-loss": False})
    assert said == (
        "One of 3 runs was still improving at the last epoch: alone-loss. Train and validation accuracy end furthest "
        "apart in **baseline**: +20 points."
    )


def test_the_calibration_caption_tells_sureness_from_right():
    logs = np.log([[0.9, 0.1]] * 4)
    before, after = reliability([0, 0, 1, 1], logs), reliability([0, 0, 1, 1], np.log([[0.5, 0.5]] * 4))
    assert captions.calibration_caption(before, after, 8.0) == (
        "At the end the predictor is surer than it is right: mean confidence 90.0 %, accuracy 50.0 %. Temperature "
        "8.00, fitted on validation, takes its calibration error from 40.0 to 0.0 %."
    )
    right = reliability([0, 0, 0, 0], logs)
    assert "is less sure than it is right" in captions.calibration_caption(right, None, None)
    even = reliability([0] * 9 + [1], np.log([[0.9, 0.1]] * 10))
    assert "is about as sure as it is right" in captions.calibration_caption(even, None, None)


def test_captions_of_an_empty_table():
    none = [row("baseline", "ladder", None)]
    assert captions.ladder_caption(none) == "No rung was tried."
    dropped = row("vit", "ladder", (-2.0, -3.0, -1.0), kept=False)
    assert captions.ladder_caption([*none, dropped]) == "None of 1 rungs were kept."
    assert captions.alone_caption(none) == captions.cost_caption(none) == "No technique was tried alone."


def test_the_hardest_faces_are_wrong_and_sure():
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 4, 200)
    logits = rng.normal(size=(200, 4))
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    logs[7] = np.nan
    naive = []
    for index in range(200):
        if not np.isnan(logs[index]).any() and int(np.argmax(logs[index])) != labels[index]:
            naive.append((-float(np.max(logs[index])), index))
    assert hardest(labels, logs, 10).tolist() == [index for _, index in sorted(naive)[:10]]
    assert hardest(labels, np.log(np.eye(4)[labels] + 1e-9)).size == 0


def test_the_hardest_faces_show_true_and_predicted_class(whole: str):
    part = Reader(whole[whole.index('<section id="hardest"') : whole.index('<section id="attention"')]).text
    assert "Of 3 test faces that train/loss names wrongly, these 3 it is surest about: at least 90 % each." in part
    assert f"gladtaken for {NASTY}, 90 %; own class 5.0 %" in part


def test_pictures_are_shrunk_and_never_enlarged():
    def size(address: str) -> tuple[int, int]:
        import base64

        return Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))).size

    assert size(jpeg(np.zeros((300, 600, 3), np.uint8), 150)) == (150, 75)
    assert size(jpeg(np.zeros((16, 16, 3), np.uint8), 150)) == (16, 16)


def test_grey_faces_are_shown_as_faces_in_colour_are():
    """FER2013's have one channel."""
    grey = np.random.default_rng(0).integers(0, 256, (13, 16, 16, 1)).astype(np.uint8)
    shown = built(faces=grey)
    assert shown.count("data:image/jpeg") == built().count("data:image/jpeg") > 0


def test_attention_is_embedded_or_its_lack_told(whole: str):
    assert "No run of this table has an attention that weighs places" in whole
    raw = io.BytesIO()
    Image.new("RGB", (40, 20)).save(raw, "PNG")
    shown = built(attention=[Picture("loss", raw.getvalue())])
    assert "Attention maps of the run loss over validation faces" in shown
    assert "<code>loss</code>, test accuracy 76.9 %" in shown
    runs = ["ladder-a", "member-vit", "alone-b", "alone-a", "base-vit"]
    assert attention_runs(runs, ["member-vit"], most=3) == ["alone-a", "alone-b", "member-vit"]


def test_the_data_card_counts(whole: str):
    part = whole[whole.index('<section id="data"') : whole.index('<section id="environment"')]
    text = Reader(part).text
    assert "The largest class, glad, has 40 train pictures, the smallest, sad, 4: 10 to 1." in text
    lines = [texts(line) for line in part.split("<tr>")]
    assert ["glad", "", "40", "6", "8"] in lines  # test: from the truth
    assert ["all", "", "64", "10", "13"] in lines
    # train: 8 of 0.5 * 64 annotated; validation: 1 of 10; test: 1 of 12, one is not annotated
    assert ["AU12", "lip corner puller", "", "25.0", "10.0", "8.3"] in lines
    assert "Test pictures without a crop, which are not scored: 2." in text
    assert "Leaks between the splits" not in text


def test_leaks_are_shown_where_a_guard_looked():
    none = Reader(built(leakage=LEAKAGE)).text
    assert "Leaks between the splits" in none
    assert "No subject and no picture stands in two splits, of 10,949 pictures, pool and clips included." in none
    some = LEAKAGE | {"leaks": 3, "duplicates": 3, "policy": "report", "by_splits": {"picture: test, train": 3}}
    html = built(leakage=some)
    assert "3 leaks between the splits, of 10,949 pictures, pool and clips included; they were left in" in (
        Reader(html).text
    )
    lines = [texts(line) for line in html.split("<tr>")]
    assert ["Same picture in two splits", "3"] in lines and ["Between splits, picture: test, train", "3"] in lines
    with pytest.raises(DataError, match=r"leakage.json lacks leaks, subjects, duplicates"):
        built(leakage={"pictures": 4})


def test_a_set_without_aus_attributes_or_gain_has_a_page():
    runs = {"train/baseline": entry(BASELINE)}
    truth = content().truth
    bare = built(
        aus={"names": [], "titles": {}, "coverage": {}, "positives": {}},
        final="train/baseline",
        runs=runs,
        histories={},
        truth=type(truth)("test", truth.ids, truth.labels, None, np.zeros((13, 0)), [], 0),
    )
    text = Reader(bare).text
    assert "This set has no AU labels." in text
    assert "This set tells no attributes of its test faces." in text
    assert "What changed from the baseline" not in text


def test_attributes_name_the_best_and_the_worst_bin():
    ends = ("baseline_accuracy", "final_accuracy", "gain")
    bins = []
    for name, final in (("dark", 0.5), ("light", 0.7)):
        line = {"attribute": "skin", "bin": name, "n": 6, "classes_present": 3, "baseline_uar": 0.3, "final_uar": None}
        line |= {"baseline_accuracy": 0.4, "final_accuracy": final, "gain": 10.0}
        bins.append(line | {f"{key}_{end}": None for key in ends for end in ("low", "high")})
    text = Reader(built(slices=bins)).text
    assert "highest for skin = light (70.0) and lowest for skin = dark (50.0)" in text


def test_the_figures_are_those_of_the_final_predictor():
    drawn = draw(content())
    assert set(drawn) == {
        *("ladder", "alone", "confusion-baseline", "confusion-final", "confusion-difference", "recall", "calibration"),
        *("learning", "learning-ladder", "cost"),
    }
    assert f"**{NASTY}** taken for **glad**, 1 of 4" in drawn["confusion-final"][1] or "glad" in drawn["recall"][0]
    right = sum(FINAL[k][k] for k in range(3))
    assert f"{right} of 13 right" in drawn["confusion-final"][0]
    assert "temperature 1.50" in drawn["calibration"][0]
