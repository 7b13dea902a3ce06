"""Independent stages side by side: what `dvc repro` gives, at once where that is possible, and no orphans."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from jobs_project import (
    COMMAND,
    LIMIT,
    ROOT,
    alive,
    environment,
    group,
    lock,
    pid,
    project,
    run,
    stamps,
    start,
    wait_for,
)

from fer_core.errors import ConfigError
from stages.lib import hardware
from stages.lib.hardware import gpu_names, shares, visible_gpus
from stages.lib.jobs import Schedule
from stages.lib.warm import VARIABLE, warm_process
from stages.run import number_of_jobs

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="process groups as Linux has them")

GRAPH: dict[str, list[str]] = {
    "root": [],
    "left": ["dep:root", "with:right"],
    "right": ["dep:root", "with:left"],
    "third": ["dep:root"],
    "both": ["dep:left", "dep:right"],
    "last": ["dep:both", "dep:third"],
}


def test_it_gives_what_dvc_repro_gives_at_once_and_in_order(tmp_path: Path) -> None:
    always = {"last": {"always_changed": True}}
    folder = project(tmp_path / "jobs", GRAPH, **always)
    status, printed = run(folder, 3)
    assert status == 0, printed
    # left and right each waited until the other ran: one after the other they would have failed
    left, right, both = (stamps(folder, name)[0] for name in ("left", "right", "both"))
    assert left["begin"] < right["end"] and right["begin"] < left["end"]
    assert both["begin"] >= max(left["end"], right["end"]) and left["begin"] >= stamps(folder, "root")[0]["end"]
    assert (folder / "last").read_text() == "last(both(left(root())+right(root()))+third(root()))"
    assert re.search(r"^last +done +\d+ s +\(6 of 6\)$", printed, re.MULTILINE)
    assert "6 of 6 stages finished: 6 run, 0 restored from DVC's cache, 0 unchanged" in printed
    assert "speaks" not in printed and "left speaks" in (folder / ".work/jobs/left.log").read_text()

    plain = project(tmp_path / "plain", GRAPH, **always)
    (plain / "stamps").mkdir()
    for name in ("left", "right"):  # plain repro runs one after the other
        (plain / "stamps" / name).mkdir()
        (plain / "stamps" / name / "pid").write_text("0")
    assert subprocess.run(["dvc", "repro", "--quiet"], cwd=plain, env=environment(), check=False).returncode == 0
    assert lock(folder) == lock(plain) and len(lock(folder)["stages"]) == 6

    status, printed = run(folder, 3)
    assert status == 0 and "6 of 6 stages finished: 1 run, 0 restored from DVC's cache, 5 unchanged" in printed
    assert [len(stamps(folder, name)) for name in GRAPH] == [1, 1, 1, 1, 1, 2]
    assert "left" not in printed

    (folder / "both").unlink()
    status, printed = run(folder, 2)
    assert status == 0 and "1 run, 1 restored from DVC's cache, 4 unchanged" in printed
    assert (folder / "both").read_text().startswith("both(") and len(stamps(folder, "both")) == 1


def test_a_failure_stops_what_follows_and_not_what_runs(tmp_path: Path) -> None:
    graph = {
        "bad": ["with:long", "fail:now"],
        "long": ["with:bad", "until:go"],
        "after": ["dep:bad"],
        "more": ["dep:after"],
        "idle": [],
    }
    folder = project(tmp_path, graph)
    (folder / "broken").touch()
    process = start(folder, 2)
    wait_for(
        lambda: (folder / ".work/jobs/bad.log").exists() and "ERROR" in (folder / ".work/jobs/bad.log").read_text()
    )
    (folder / "go").touch()
    printed, _ = process.communicate(timeout=LIMIT)
    assert process.returncode == 255
    assert re.search(r"^bad +failed", printed, re.MULTILINE) and "last words of bad" in printed
    assert ".work/jobs/bad.log" in printed and "waited for: long" in printed
    assert re.search(r"^long +done", printed, re.MULTILINE)
    assert not (folder / "after").exists() and not (folder / "idle").exists()
    assert list(lock(folder)["stages"]) == ["long"]

    (folder / "broken").unlink()
    status, printed = run(folder, 2)
    assert status == 0 and "5 of 5 stages finished: 4 run, 0 restored from DVC's cache, 1 unchanged" in printed


SLEEPY = {"first": [], "nap": ["dep:first", "sleep:300"], "doze": ["dep:first", "sleep:300"], "end": ["dep:nap"]}


def awake(folder: Path) -> None:
    """The same commands, which return at once: the sleep is no part of the step's file or command."""
    graph = {name: [word for word in words if not word.startswith("sleep")] for name, words in SLEEPY.items()}
    project(folder / "new", graph)
    shutil.copy(folder / "new" / "dvc.yaml", folder / "dvc.yaml")
    shutil.rmtree(folder / "new")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_what_runs_and_a_second_call_goes_on(tmp_path: Path, number: int) -> None:
    folder = project(tmp_path, SLEEPY)
    process = start(folder, 2)
    sleepers = [pid(folder, "nap"), pid(folder, "doze")]
    os.killpg(process.pid, number)
    printed, _ = process.communicate(timeout=LIMIT)
    assert process.returncode not in (0, 255) and "KeyboardInterrupt" in printed  # stages.run makes one sentence of it
    assert re.search(r"^nap +interrupted", printed, re.MULTILINE) and "stopping" in printed
    assert not any(alive(sleeper) for sleeper in sleepers) and not group(process.pid)
    for name in ("nap", "doze"):
        assert (folder / "stamps" / name / "kept").exists(), "the stage was interrupted, not killed"
    assert list(lock(folder)["stages"]) == ["first"]
    assert not (folder / "stamps" / "end").exists()

    awake(folder)
    status, printed = run(folder, 2)
    assert status == 0 and "4 of 4 stages finished: 3 run, 0 restored from DVC's cache, 1 unchanged" in printed


def test_a_killed_parent_leaves_nobody_behind(tmp_path: Path) -> None:
    folder = project(tmp_path, SLEEPY)
    process = start(folder, 2)
    sleepers = [pid(folder, "nap"), pid(folder, "doze")]
    assert len(group(process.pid)) >= 5
    process.kill()
    process.communicate(timeout=LIMIT)
    wait_for(lambda: not group(process.pid))
    assert not any(alive(sleeper) for sleeper in sleepers)
    assert (folder / "stamps" / "nap" / "kept").exists()
    awake(folder)
    assert run(folder, 2)[0] == 0


def test_a_killed_job_is_a_failed_stage_and_takes_its_command_along(tmp_path: Path) -> None:
    folder = project(tmp_path, SLEEPY)
    process = start(folder, 2)
    nap, doze = pid(folder, "nap"), pid(folder, "doze")
    os.kill(os.getpgid(nap), signal.SIGKILL)
    wait_for(lambda: not alive(nap))
    assert alive(doze)
    os.kill(process.pid, signal.SIGINT)
    printed, _ = process.communicate(timeout=LIMIT)
    assert re.search(r"^nap +failed", printed, re.MULTILINE) and "the process that ran it was killed" in printed
    assert not group(process.pid)


def test_each_job_gets_its_threads_and_its_gpu(tmp_path: Path) -> None:
    graph = {"one": ["with:two", "with:three"], "two": ["with:one", "with:three"], "three": ["with:one", "with:two"]}
    folder = project(tmp_path / "shared", graph)
    status, printed = run(folder, 3, CUDA_VISIBLE_DEVICES="4,7")
    assert status == 0, printed
    given = [stamps(folder, name)[0] for name in graph]
    assert sorted(one["CUDA_VISIBLE_DEVICES"] for one in given) == ["4", "4", "7"]
    expected = str(max(1, len(os.sched_getaffinity(0)) // 3))
    assert {one["OMP_NUM_THREADS"] for one in given} == {expected}

    folder = project(tmp_path / "set", {"one": []})
    assert run(folder, 2, OMP_NUM_THREADS="5", CUDA_VISIBLE_DEVICES="")[0] == 0
    (given_one,) = stamps(folder, "one")
    assert (given_one["OMP_NUM_THREADS"], given_one["CUDA_VISIBLE_DEVICES"]) == ("5", "")


PACKAGE = f"""
__path__ = [{str(ROOT / "stages")!r}, *__path__]
from stages.lib.warm import hand_over
hand_over()
"""
MADE_UP = """
import os, sys, time
from pathlib import Path
own, other = sys.argv[1:]
Path(own + ".began").touch()
end = time.monotonic() + 30
while not Path(other + ".began").exists() and time.monotonic() < end:
    time.sleep(0.02)
Path(own).write_text(f"{Path(other + '.began').exists()} {'torch' in sys.modules} {os.getppid()}")
"""


def test_one_warm_process_serves_all_jobs_at_once(tmp_path: Path) -> None:
    folder = project(tmp_path, {})
    (folder / "stages").mkdir()
    (folder / "stages" / "__init__.py").write_text(PACKAGE)
    (folder / "stages" / "made_up.py").write_text(MADE_UP)
    command = f"{sys.executable} -m stages.made_up"
    stages = {one: {"cmd": f"{command} {one} {two}", "outs": [one]} for one, two in (("a", "b"), ("b", "a"))}
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    with warm_process(environment(OMP_NUM_THREADS="1")) as warm:
        wait_for(lambda: list(Path(warm[VARIABLE]).iterdir()))
        script = (
            "import sys; sys.path.insert(0, sys.argv[2])\n" + COMMAND
        )  # the crew's own stages, not the made-up ones
        done = subprocess.run([sys.executable, "-P", "-c", script, "2", str(ROOT)], cwd=folder, env=warm, check=False)
    assert done.returncode == 0, [path.read_text() for path in (folder / ".work/jobs").iterdir()]
    (both, torch, parent), other = ((folder / name).read_text().split() for name in "ab")
    assert both == torch == "True" and other == ["True", "True", parent], "two forks of one process, at once"


def test_frozen_stages_and_a_broken_file_are_as_dvc_has_them(tmp_path: Path) -> None:
    folder = project(tmp_path, {"root": [], "still": ["dep:root"]})
    assert run(folder)[0] == 0
    subprocess.run(["dvc", "freeze", "still"], cwd=folder, env=environment(), check=True)
    with (folder / "step.py").open("a") as file:
        file.write("# changed\n")
    status, printed = run(folder)
    assert status == 0 and "1 run, 0 restored from DVC's cache, 1 unchanged" in printed
    assert len(stamps(folder, "still")) == 1
    (folder / "dvc.yaml").write_text("stages: [wrong]\n")
    status, printed = run(folder)
    assert status == 255 and "ERROR:" in printed and "Traceback" not in printed


def test_the_longest_chain_starts_first() -> None:
    schedule = Schedule({"alone": [], "top": [], "rung": ["top"], "report": ["alone", "rung"], "other": []})
    assert schedule.take() == ["top", "alone", "other"]
    assert schedule.take() == []
    schedule.finish("alone")
    assert schedule.take() == []
    schedule.finish("top")
    assert schedule.take() == ["rung"]
    schedule.finish("rung")
    assert schedule.take() == ["report"]
    long = Schedule({str(n): [str(n - 1)] if n else [] for n in range(5000)})  # deeper than Python's recursion
    assert long.take() == ["0"] and long.rank("0") == (-5000, 0)


def test_gpus_are_counted_without_pytorch(tmp_path: Path) -> None:
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": " 3, GPU-ab "}) == ["3", "GPU-ab"]
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": "1,-1,2"}) == ["1"]
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": ""}) == []
    listed = "GPU 0: NVIDIA H200 (UUID: GPU-1)\nGPU 1: NVIDIA A100 (UUID: GPU-2)\n"
    assert gpu_names(listed) == ["GPU-1", "GPU-2"]
    parts = "  MIG 3g.20gb     Device  0: (UUID: MIG-3)\n  MIG 3g.20gb     Device  1: (UUID: MIG-4)\n"
    assert gpu_names(listed + parts) == ["GPU-1", "MIG-3", "MIG-4"]
    assert gpu_names("No devices found.\n") == []


def test_shares_of_cores_and_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "usable_cores", lambda: 9)
    assert shares(2, {}, []) == [{"OMP_NUM_THREADS": "4"}] * 2
    assert shares(16, {"OMP_NUM_THREADS": ""}, [])[0] == {"OMP_NUM_THREADS": "1"}
    assert shares(2, {"OMP_NUM_THREADS": "7"}, [])[1] == {"OMP_NUM_THREADS": "7"}
    assert [share["CUDA_VISIBLE_DEVICES"] for share in shares(5, {}, ["a", "b"])] == ["a", "b", "a", "b", "a"]


@pytest.mark.parametrize("wrong", ["0", "-1", "two", "1.5", "", "²", "1e3"])
def test_a_wrong_number_of_jobs_is_refused(wrong: str) -> None:
    with pytest.raises(
        ConfigError, match=re.escape(f"Expected JOBS to be a positive integer, such as 4; got {wrong!r}")
    ):
        number_of_jobs(wrong)
    assert number_of_jobs(" 04 ") == 4


def test_the_command_line_says_what_is_wrong_before_anything_runs(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "stages.run", "--jobs", "0", "--profile", "smoke"]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert (
        done.returncode == 1 and done.stderr == "error: Expected JOBS to be a positive integer, such as 4; got '0'.\n"
    )
