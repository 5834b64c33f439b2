"""Names of files stay in their folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_envs.data.media import MediaError, safe_path

LEAVING = [
    "../a.png", "a/../../b.png", "a/..", "..", "/etc/passwd", "//server/a", "\\\\server\\a", "C:\\a.png",
    "c:a.png", "a\\b.png", "a\0.png", "a\nb.png", "", "  ", ".", "./", "\ud800.png", "\x7f.png",
]  # fmt: skip


@pytest.mark.parametrize("name", LEAVING)
def test_a_name_that_leaves_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(MediaError, match=r"^file name .*: "):
        safe_path(tmp_path, name)


@pytest.mark.parametrize(
    "name", ["a.png", "a/b.png", "./a.png", "ä/日本.png", "...png", "a b.png", "👩‍🚀.png"]
)
def test_other_names_are_taken(tmp_path: Path, name: str) -> None:
    assert safe_path(tmp_path, name) == tmp_path / name


@pytest.mark.parametrize("name", [None, 3, 1.5, ["a.png"], b"a.png", {}])
def test_what_is_no_text_is_no_name(tmp_path: Path, name: object) -> None:
    with pytest.raises(MediaError, match="is no text"):
        safe_path(tmp_path, name)


def test_links_may_lead_about_the_folder_but_not_out_of_it(tmp_path: Path) -> None:
    inside, elsewhere = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    elsewhere.mkdir()
    (inside / "a.png").write_bytes(b"x")
    (inside / "same").symlink_to(inside / "a.png")
    (inside / "away").symlink_to(elsewhere)
    (inside / "loop").symlink_to(inside / "loop")
    assert safe_path(inside, "same") == inside / "same"
    assert safe_path(inside, "loop") == inside / "loop"  # opening it fails
    with pytest.raises(MediaError, match=r"leaves its folder .* by a symbolic link: copy the folder"):
        safe_path(inside, "away/b.png")


@given(st.text(max_size=30) | st.lists(st.sampled_from(["..", ".", "a", "/", "\\", "C:", "~"])).map("/".join))
def test_whatever_is_taken_lies_in_the_folder(name: str) -> None:
    root = Path("some") / "folder"
    try:
        path = safe_path(root, name)
    except MediaError:
        return
    assert root in path.parents
    assert ".." not in path.parts
