"""Which tests belong to a module."""

from pathlib import Path

from tests.mutation.belongs import files_of

MODULE = Path("shop/till.py")


def tree(root: Path, **imports: str) -> Path:
    """Make a tree of files that import something each; `shop__till` is shop/till.py."""
    for name, imported in imports.items():
        path = root / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"from {imported} import *\n" if imported else "")
    return root


def found(root: Path) -> list[str]:
    return [str(path) for path in files_of(root, MODULE)]


def test_the_mirrored_file_comes_first_and_then_those_that_import_it(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        shop__till="",
        tests__shop__test_till="os",
        tests__shop__test_basket="shop.till",
        tests__bank__test_card="shop.till",
        tests__shop__test_door="os",
    )
    assert found(root) == ["tests/shop/test_till.py", "tests/shop/test_basket.py", "tests/bank/test_card.py"]


def test_of_those_that_are_as_near_what_is_named_alike_comes_first(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        shop__till="",
        tests__shop__test_basket="shop.till",
        tests__shop__test_full_till="shop.till",
        tests__bank__test_till_roll="shop.till",
    )
    assert found(root) == ["tests/shop/test_full_till.py", "tests/shop/test_basket.py", "tests/bank/test_till_roll.py"]


def test_a_module_that_is_named_as_part_of_its_folder_is_found(tmp_path: Path) -> None:
    root = tree(tmp_path, shop__till="")
    (root / "tests").mkdir()
    (root / "tests" / "test_names.py").write_text("from shop import till\n")
    assert found(root) == ["tests/test_names.py"]


def test_what_is_one_step_away_counts_in_the_own_part_only(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        shop__till="",
        shop__queue="shop.till",
        tests__support__shops="shop.till",
        tests__shop__test_queue="shop.queue",
        tests__shop__test_day="tests.support.shops",
        tests__bank__test_queue="shop.queue",
    )
    assert found(root) == ["tests/shop/test_day.py", "tests/shop/test_queue.py"]


def test_farther_ones_count_only_where_there_are_no_nearer_ones(tmp_path: Path) -> None:
    far = {"shop__queue": "shop.till", "shop__street": "shop.queue", "tests__shop__test_street": "shop.street"}
    assert found(tree(tmp_path / "a", shop__till="", **far)) == ["tests/shop/test_street.py"]
    near = {"tests__shop__test_till": "shop.till"}
    assert found(tree(tmp_path / "b", shop__till="", **far, **near)) == ["tests/shop/test_till.py"]


def test_proofs_and_the_rig_are_never_among_them(tmp_path: Path) -> None:
    root = tree(tmp_path, shop__till="", tests__rig__test_till="shop.till", tests__proofs__test_till="shop.till")
    assert found(root) == []
