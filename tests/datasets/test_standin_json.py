import json
from pathlib import Path
from typing import Any

import pytest
from made_up_sets import reader

from fer_core.datasets.dataset import card
from fer_core.datasets.ingest import Reading, ingest
from fer_core.datasets.standin_json import notes_of, read_standin_json
from fer_core.errors import DataError
from fer_core.files import read_json

read = reader("rafce")
read_standin = reader("standin")

CEILING = {
    "intensities": {"accuracy": 0.9123, "macro_f1": 0.83},
    "aus": {"accuracy": 0.81, "macro_f1": 0.7},
    "labels": {"accuracy": 0.512, "macro_f1": 0.4},
}
FACTS: dict[str, Any] = {"version": "2", "difficulty": "standard", "seed": 0, "ceiling": CEILING}
NOTES = [
    "stand-in version 2, difficulty standard",
    "ceiling of this set: 91.2 % accuracy and 83.0 % macro-F1 from the true AU intensities, "
    "81.0 % and 70.0 % from the true AUs, 51.2 % and 40.0 % from the AU labels",
]


def write_facts(folder: Path, facts: Any) -> None:
    (folder / "standin.json").write_text(json.dumps(facts), encoding="utf-8")


def test_the_card_and_the_notes_tell_version_difficulty_and_ceiling(rafce_folder: Path, tmp_path: Path) -> None:
    write_facts(rafce_folder, FACTS)
    ingest("standin", rafce_folder, tmp_path / "out", Reading(seed=1))
    told = read_json(tmp_path / "out" / "card.json")
    assert told["standin"] == FACTS
    assert told["notes"] == ["generated faces, not people", *NOTES]


def test_a_set_without_the_file_has_neither_note_nor_ceiling(rafce_folder: Path) -> None:
    told = card(read_standin(rafce_folder, None, 1), "standin")
    assert told["standin"] is None and told["notes"] == ["generated faces, not people"]


def test_a_ceiling_that_was_not_measured(rafce_folder: Path) -> None:
    write_facts(rafce_folder, {"version": 3, "difficulty": "hard"})
    found = read_standin_json(rafce_folder)
    assert found == {"version": "3", "difficulty": "hard", "seed": None, "ceiling": None}
    assert notes_of(found) == ["stand-in version 3, difficulty hard"]
    assert not any("limit" in note for note in read(rafce_folder, 60, 1).notes)


def test_a_limit_says_that_the_ceiling_is_of_all_test_pictures(rafce_folder: Path) -> None:
    write_facts(rafce_folder, FACTS)
    assert not any("limit" in note for note in read(rafce_folder, None, 1).notes)
    assert any("whole test split, of which `limit` keeps a part" in note for note in read(rafce_folder, 60, 1).notes)


def without(*keys: str) -> dict[str, Any]:
    facts = json.loads(json.dumps(FACTS))
    place = facts
    for key in keys[:-1]:
        place = place[key]
    del place[keys[-1]]
    return facts


def with_accuracy(value: object) -> dict[str, Any]:
    return FACTS | {"ceiling": CEILING | {"aus": {"accuracy": value, "macro_f1": 0.7}}}


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        (without("version"), "lacks `version`: an older generator wrote it; run the stage generate again"),
        (without("difficulty"), "lacks `difficulty`"),
        (without("ceiling", "aus"), "lacks `ceiling.aus`"),
        (without("ceiling", "labels", "macro_f1"), "lacks `ceiling.labels.macro_f1`"),
        ([], "lacks `version`"),
        (
            with_accuracy(81.0),
            "Expected `ceiling.aus.accuracy` in .*standin.json to be a fraction from 0 to 1; got 81.0",
        ),
        (with_accuracy("0.8"), "to be a fraction from 0 to 1; got '0.8'"),
        (with_accuracy(True), "to be a fraction from 0 to 1; got True"),
        (with_accuracy(float("nan")), "to be a fraction from 0 to 1; got nan"),
    ],
)
def test_a_file_that_lacks_something_is_refused_in_one_sentence(rafce_folder: Path, facts: Any, message: str) -> None:
    write_facts(rafce_folder, facts)
    with pytest.raises(DataError, match=message):
        read_standin(rafce_folder, None, 1)


def test_a_broken_file_is_named(rafce_folder: Path) -> None:
    (rafce_folder / "standin.json").write_text("{")
    with pytest.raises(DataError, match=r"standin\.json is not valid JSON"):
        read_standin(rafce_folder, None, 1)
