"""The first edits after a run: none, a comment, one check, then one feature. They are made in a copy of what an engine runs."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Edit:
    """A change of a few words."""

    name: str
    # The first phase that it touches: a person who runs scripts starts there, and runs none where it is behind the last.
    first: int
    # Texts and what takes their place, by file; an engine has some of the files.
    changes: dict[str, list[tuple[str, str]]]

    def make(self, folder: Path) -> None:
        """Edits the files that are in `folder`."""
        for name, changes in self.changes.items():
            file = folder / name
            if file.exists():
                text = file.read_text()
                for old, new in changes:
                    if text.count(old) != 1:
                        raise SystemExit(f"{file} does not hold `{old}` once")
                    text = text.replace(old, new)
                file.write_text(text)


LAST = 3
LOGARITHMS = [
    ('np.log(columns["distance"])', 'np.log2(columns["distance"])'),
    ("math.log(distance)", "math.log2(distance)"),
]
EDITS = [
    Edit("nothing", LAST + 1, {}),
    Edit(
        "one comment",
        LAST + 1,
        {
            "transforms/flight_facts.sql": [("-- Phase 1: one row", "-- Phase 1, one row")],
            "lib/pipeline.py": [("# What is taken for granted", "# Taken for granted")],
        },
    ),
    Edit(
        "one check",
        3,
        {
            "rules.py": [('"wind_chill": (-60, 130)', '"wind_chill": (-70, 130)')],
            "transforms/transforms.yml": [("{min: -60, max: 130}", "{min: -70, max: 130}")],
        },
    ),
    Edit("one feature", 2, {"pipeline.py": LOGARITHMS, "lib/pipeline.py": LOGARITHMS}),
]
