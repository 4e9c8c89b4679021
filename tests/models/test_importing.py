import sys

import pytest

from elastic.errors import UnknownName
from elastic.models.importing import import_callable


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("mine_")]:
        del sys.modules[name]


def test_a_function_of_a_module_in_the_current_folder_is_found(folder):
    (folder / "mine_here.py").write_text("def make():\n    return 3\n")
    assert import_callable("mine_here:make")() == 3


def test_an_attribute_of_an_attribute_is_found():
    assert import_callable("pathlib:Path.cwd")() is not None


def test_the_search_path_is_left_as_it_was(folder):
    (folder / "mine_path.py").write_text("def make():\n    return 3\n")
    before = list(sys.path)
    import_callable("mine_path:make")
    assert sys.path == before


@pytest.mark.parametrize("spec", ["a b:c", "a:", ":c", "a:b c", "a..b:c", "../a:b"])
def test_text_that_is_no_name_is_refused(spec):
    with pytest.raises(UnknownName, match=r"does not read as package\.module:function"):
        import_callable(spec)


@pytest.mark.parametrize("spec", ["mine_nowhere:make", "os.nowhere:make"])
def test_a_module_that_is_not_there_is_named(spec):
    with pytest.raises(UnknownName, match=f"there is no module '{spec.partition(':')[0]}' here"):
        import_callable(spec)


def test_a_module_whose_own_import_fails_says_so_itself(folder):
    (folder / "mine_broken.py").write_text("import not_installed_at_all\n")
    with pytest.raises(ModuleNotFoundError, match="not_installed_at_all"):
        import_callable("mine_broken:make")


@pytest.mark.parametrize("attribute", ["nothing", "sep"])
def test_an_attribute_that_can_not_be_called_is_refused(attribute):
    with pytest.raises(UnknownName, match=f"os was imported, but holds no callable '{attribute}'"):
        import_callable(f"os:{attribute}")
