"""The first edits after a run: one check, then one feature. They are made in a copy of what an engine runs."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Edit:
    """A change of a few words."""

    name: str
    # The first phase that it touches: a person who runs scripts starts there.
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


LOGARITHMS = [
    ('np.log(columns["distance"])', 'np.log2(columns["distance"])'),
    ("math.log(distance)", "math.log2(distance)"),
]
EDITS = [
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
