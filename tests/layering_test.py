"""A folder under src/ includes only itself and folders below it (the order of src/CMakeLists.txt, lowest first)."""
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parent.parent
FLOORS = re.findall(r"^add_subdirectory\((\w+)\)", (ROOT / "src/CMakeLists.txt").read_text(), re.M)


def test_every_folder_is_a_floor():
    folders = {p.name for p in (ROOT / "src").iterdir() if p.is_dir()}
    assert folders == set(FLOORS)


def test_includes_point_downwards():
    wrong = []
    for floor, name in enumerate(FLOORS):
        for file in (ROOT / "src" / name).rglob("*"):
            if file.suffix not in (".h", ".cc"):
                continue
            for included in re.findall(r'^\s*#\s*include\s+"([a-z0-9_]+)/', file.read_text(), re.M):
                if included in FLOORS and FLOORS.index(included) > floor:
                    wrong.append(f"{file.relative_to(ROOT)} includes {included}/, a floor above {name}/")
    assert not wrong, "\n".join(wrong)
