import pytest

from fer_core.standin import StandinConfig, generate


@pytest.fixture(scope="session")
def tiny() -> StandinConfig:
    return StandinConfig(seed=3, scale=0.005, pool=20, clips=0, scene=96, pictures_per_person=2, ceiling_draws=400)


@pytest.fixture(scope="session")
def tiny_set(tiny, tmp_path_factory):
    """The tiny set, drawn once in this process."""
    folder = tmp_path_factory.mktemp("standin") / "set"
    generate(folder, tiny, workers=1)
    return folder
