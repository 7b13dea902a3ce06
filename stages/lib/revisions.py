"""Files as they are at a revision: the workspace, a DVC experiment, a branch, a tag or a commit."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Any

from fer_core.errors import ConfigError, DataError

WORKSPACE = "workspace"
_NAMES_TOLD = 12


@dataclass(frozen=True)
class Revision:
    """A state of the repository; `commit` is None for the workspace, whose files are read as they lie."""

    name: str
    commit: str | None


def repository_root() -> Path:
    """Return the root of the repository that the current directory is in.

    Raises:
        ConfigError: it is in no Git or no DVC repository.
    """
    from dvc.exceptions import NotDvcRepoError
    from dvc.repo import Repo

    try:
        root = Path(Repo.find_root())
    except NotDvcRepoError:
        raise ConfigError(f"{Path.cwd()} is in no DVC repository; run this in a clone of fer-road.") from None
    if _git(root, "rev-parse", "--git-dir") is None:
        raise ConfigError(f"{root} is in no Git repository, so it has no experiments to compare.")
    return root


def find_revision(root: Path, name: str) -> Revision:
    """Return the revision of a name: `workspace`, an experiment, a branch, a tag, a commit.

    Raises:
        ConfigError: there is none, or several experiments have the name; tells those that are known.
    """
    from dvc.repo.experiments.utils import exp_refs
    from dvc.scm import RevError, SCMError, resolve_rev
    from scmrepo.git import Git

    if name == WORKSPACE:
        return Revision(name, None)
    scm: Any = Git(str(root), search_parent_directories=True)
    try:
        return Revision(name, str(resolve_rev(scm, name)))
    except (RevError, SCMError, ValueError) as error:
        if "ambiguous" in str(error):
            raise ConfigError(f"{name!r} names experiments on several commits; give the hash of one.") from None
        experiments = sorted({str(ref.name) for ref in exp_refs(scm) if ref.name})
        known = list(dict.fromkeys([WORKSPACE, "HEAD", *scm.list_branches(), *scm.list_tags(), *experiments]))
    finally:
        scm.close()
    near = get_close_matches(name, known, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    told = ", ".join(known[:_NAMES_TOLD]) + (" ..." if len(known) > _NAMES_TOLD else "")
    raise ConfigError(
        f"Expected an experiment, a branch, a tag, a commit or `{WORKSPACE}`; got {name!r}. Known here: {told}.{hint}"
    )


def read_tracked(root: Path, revision: Revision, path: str) -> bytes | None:
    """Return a file that Git tracks, or None where the revision has none; `path` is relative to `root`."""
    if revision.commit is None:
        return _here(root / path)
    return _git(root, "show", f"{revision.commit}:./{path}")


def read_output(root: Path, revision: Revision, path: str) -> bytes | None:
    """Return a file of a stage's output, which DVC has in its cache; None where the revision has no such output.

    Raises:
        DataError: dvc.lock of the revision has it, but DVC's cache here has not.
    """
    if revision.commit is None:
        return _here(root / path)

    from dvc.exceptions import DvcException, NotDvcRepoError
    from dvc.fs.dvc import DVCFileSystem
    from dvc.repo import Repo
    from dvc_data.index import DataIndexDirError

    try:
        repo = Repo(str(root), rev=revision.commit)
    except NotDvcRepoError:
        return None
    try:
        return bytes(DVCFileSystem(repo=repo).read_bytes(path))
    except (OSError, DvcException, DataIndexDirError):
        if not _is_output(repo, path):
            return None
        raise DataError(
            f"{revision.name}: {path} is an output of that revision, but is not in DVC's cache here; get it from "
            f"a remote with `dvc fetch --all-commits {PurePosixPath(path).parent}`, of an experiment with "
            f"`dvc exp pull`, or check {revision.name} out and run `dvc repro`."
        ) from None
    finally:
        repo.close()


def changed_files(root: Path, a: Revision, b: Revision, folders: Sequence[str]) -> list[str]:
    """Return the files in `folders` that differ between two revisions, sorted.

    Files of the workspace that Git does not track yet count as changed, those that it ignores do not.
    """
    commits = [side.commit for side in (a, b) if side.commit is not None]
    told = [_git(root, "diff", "--name-only", "--relative", *commits, "--", *folders)] if commits else []
    if len(commits) == 1:
        told.append(_git(root, "ls-files", "--others", "--exclude-standard", "--", *folders))
    return sorted({line for text in told if text for line in text.decode("utf-8", "replace").splitlines()})


def _is_output(repo: Any, path: str) -> bool:
    try:
        outs = [str(out.def_path) for out in repo.index.outs if out.hash_info]
    except Exception:  # a dvc.yaml of another time that this DVC cannot read has no outputs that it can bring back
        return False
    return any(PurePosixPath(path).is_relative_to(out) for out in outs)


def _here(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _git(root: Path, *arguments: str) -> bytes | None:
    """Return what Git prints, or None where it refuses."""
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, check=False)
    except FileNotFoundError:
        raise ConfigError("Git is not installed (no command `git` on the PATH).") from None
    return done.stdout if done.returncode == 0 else None
