"""DVC's own command line, `python -m stages.lib.quick_dvc repro` say, which writes dvc.lock quicker and the same.

DVC parses and writes the whole of dvc.lock after every stage, in pure Python that keeps comments: a second for our 90
stages, or a quarter of the smoke profile. Only the part of the stage that ran is new, so here only that is formatted,
by DVC's own formatter, and put in the place of the old one. A dvc.lock of any other form is left to DVC.
"""

import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from fer_core.files import write_text

_HEAD = "schema: '2.0'\nstages:\n"
_KEY = re.compile(r"(?m)^  (?=[^\s#])")  # where the next stage begins: all that belongs to one is indented further
_OTHER = re.compile(r"(?m)^(\S| \S|  #|\t)")  # a line of some other form: a comment, a document's end, other keys

_ANCHOR = re.compile(r"[&*]id\d")  # one value in several places: their numbers run through the whole file


def replaced(text: str, part: str) -> str | None:
    """Return the text of a dvc.lock with one stage's part replaced, or added at its end; None where it is of no use.

    Args:
        text: a whole dvc.lock.
        part: a whole dvc.lock with that stage alone, in the form that DVC writes.

    Example: with ``a: {}`` and ``b: {}`` in `text` and ``a: {cmd: c}`` in `part`, ``a: {cmd: c}`` and ``b: {}``.

    """
    stages, parts = _stages(text), _stages(part)
    if stages is None or parts is None or len(parts) != 1:
        return None
    new = parts[0]
    places = [place for place, old in enumerate(stages) if _name(old) == _name(new)] or [len(stages)]
    if len(places) > 1 or _ANCHOR.search(new):
        return None
    stages[places[0] : places[0] + 1] = [new]
    return _HEAD + "".join(stages)


def _stages(text: str) -> list[str] | None:
    """Return the parts of a dvc.lock, one a stage; None where it is not certain that DVC would write it so."""
    if not text.startswith(_HEAD) or not text.endswith("\n"):
        return None
    body = text.removeprefix(_HEAD)
    starts = [match.start() for match in _KEY.finditer(body)]
    if starts[:1] != [0] or _OTHER.search(body):
        return None
    parts = [body[start:end] for start, end in zip(starts, [*starts[1:], len(body)], strict=True)]
    return parts if all(_name(part).endswith(":") for part in parts) else None


def _name(part: str) -> str:
    return part.partition("\n")[0]


def quicken() -> None:
    """Let this process's DVC write dvc.lock stage by stage; where this DVC is built otherwise, nothing changes."""
    from dvc import dvcfile
    from dvc.stage import serialize
    from dvc.utils.serialize import dumps_yaml

    whole = getattr(dvcfile.Lockfile, "dump_stages", None)
    if whole is None or not hasattr(serialize, "to_lockfile"):
        return

    def dump_stages(lockfile: Any, stages: list[Any], **options: Any) -> None:
        path = Path(lockfile.path)
        plain = path.is_file() and not path.is_symlink() and lockfile.repo.fs.protocol == "local"
        text = new = None
        if len(stages) == 1 and plain:
            with suppress(UnicodeDecodeError):
                text = path.read_text(encoding="utf-8")
                entry = serialize.to_lockfile(stages[0], **options)
                new = replaced(text, dumps_yaml({"schema": "2.0", "stages": entry}))
        if new is None:
            return whole(lockfile, stages, **options)
        if new != text:
            dvcfile.logger.info("Updating lock file '%s'", lockfile.relpath)
            write_text(path, new)
            lockfile.repo.scm_context.track_file(lockfile.relpath)
        return None

    dvcfile.Lockfile.dump_stages = dump_stages


def main() -> int:
    """Run DVC's command line with the arguments of this one, and return its exit status."""
    from dvc.cli import main as dvc

    quicken()
    status: int = dvc(sys.argv[1:])
    return status


if __name__ == "__main__":
    raise SystemExit(main())
