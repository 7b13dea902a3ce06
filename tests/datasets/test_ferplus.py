from pathlib import Path

import numpy as np
import pytest
from made_up_sets import edit, reader, write, write_fer2013

from fer_core.datasets.ferplus import majority
from fer_core.errors import DataError

read = reader("ferplus")

HEADER = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"


def authors_majority(votes: list[int]) -> int:
    """Transcribe `_process_data(..., "majority")` of the authors' reader, one row at a time."""
    kept = [0 if vote < 1.0 + 1e-9 else vote for vote in votes]
    return int(np.argmax(kept)) if max(kept) > 0.5 * sum(kept) else -1


def test_majority_against_a_transcription_of_the_authors_code() -> None:
    votes = np.random.default_rng(1).multinomial(10, [0.4, 0.3] + [0.0375] * 8, size=2000)
    votes = np.concatenate([votes, [[1] * 10, [0] * 10, [5, 5] + [0] * 8, [5, 4, 1] + [0] * 7]])
    expected = [authors_majority(row) for row in votes.tolist()]
    assert majority(votes).tolist() == expected
    assert {-1, 0, 1} <= set(expected)


def folder_with_votes(tmp_path: Path) -> Path:
    folder = write_fer2013(tmp_path / "fer2013", per_class=8)
    usages = [line.rsplit(",", 1)[1] for line in (folder / "fer2013.csv").read_text().splitlines()[1:]]
    rows = [HEADER]
    for k, usage in enumerate(usages):
        counts = [0] * 10
        counts[k % 8] = 9
        counts[(k + 1) % 8] = 1
        rows.append(f"{usage},,{','.join(map(str, counts))}")
    write(folder / "fer2013new.csv", rows)
    return folder


def test_votes_emotions_and_reasons(tmp_path: Path) -> None:
    folder = folder_with_votes(tmp_path)
    edit(folder / "fer2013new.csv", 2, "Training,fer0000000.png,4,0,0,1,3,2,0,0,0,0")
    edit(folder / "fer2013new.csv", 3, "Training,,0,0,0,0,0,0,0,0,0,10")
    edit(folder / "fer2013new.csv", 4, "Training,x,0,0,2,0,0,0,0,0,8,0")
    rows = read(folder, None, 1).rows
    assert rows["emotion"].isna().tolist()[:4] == [True, True, True, False]
    assert rows["drop_reason"].iloc[:3].tolist() == [
        "no majority among the votes",
        "majority of the votes: NF",
        "majority of the votes: unknown",
    ]
    np.testing.assert_allclose(rows["votes"].iloc[0], [0.4, 0, 0, 0.1, 0.3, 0.2, 0, 0, 0, 0])
    assert rows["emotion"].iloc[3] == 3
    assert rows["drop_reason"].isna().iloc[3]


def test_a_limit_counts_labelled_rows_only(tmp_path: Path) -> None:
    folder = folder_with_votes(tmp_path)
    edit(folder / "fer2013new.csv", 3, "Training,,0,0,0,0,0,0,0,0,0,10")
    rows = read(folder, 40, 1).rows
    assert len(rows) == 40
    assert rows["emotion"].notna().all()


def test_files_that_do_not_align_are_refused(tmp_path: Path) -> None:
    folder = folder_with_votes(tmp_path)
    path = folder / "fer2013new.csv"
    edit(path, 2, "PublicTest,x,9,0,0,0,0,0,0,0,0,0")
    with pytest.raises(DataError, match="row 1: Usage 'PublicTest' but 'Training'"):
        read(folder, None, 1)
    write(path, path.read_text().splitlines()[:-1])
    with pytest.raises(DataError, match=r"has 167 rows but .*fer2013\.csv has 168"):
        read(folder, None, 1)


def test_bad_votes_and_a_missing_file(tmp_path: Path) -> None:
    folder = folder_with_votes(tmp_path)
    edit(folder / "fer2013new.csv", 5, "Training,x,9,0,0,-1,0,0,0,0,0,0")
    with pytest.raises(DataError, match=r"fer2013new\.csv, line 5: expected a Usage and ten vote counts"):
        read(folder, None, 1)
    edit(folder / "fer2013new.csv", 1, "Usage,neutral")
    with pytest.raises(DataError, match="happiness is missing"):
        read(folder, None, 1)
    (folder / "fer2013new.csv").unlink()
    with pytest.raises(DataError, match=r"lacks fer2013new\.csv"):
        read(folder, None, 1)
