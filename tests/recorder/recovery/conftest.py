import pytest

from tests.support.cut_short import Left, Material


@pytest.fixture(scope="session")
def material() -> Material:
    return Material(6.0)


@pytest.fixture(scope="session")
def left(material: Material, tmp_path_factory: pytest.TempPathFactory) -> Left:
    return material.write(tmp_path_factory.mktemp("left"))
