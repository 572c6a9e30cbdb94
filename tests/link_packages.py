"""Links for the type checker, which sees no editable install: .links/winnow/engine is engine/, and so on."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("data", "engine", "dashboard")


def link(root: Path = ROOT) -> Path:
    """Make the links that are missing; return the folder to look for `winnow` in."""
    links = root / ".links"
    (links / "winnow").mkdir(parents=True, exist_ok=True)
    for package in PACKAGES:
        path = links / "winnow" / package
        if not path.is_symlink():
            path.symlink_to(root / package, target_is_directory=True)
    return links


if __name__ == "__main__":
    print(link())
