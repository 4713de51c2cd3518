"""Phase 3: what must hold before the features count as published, the same for all engines.

An engine finds the figures in its own way; `broken` says which rules they break. The Windlass project
states the same rules as checks.
"""

from dataclasses import asdict, dataclass, field

KEY = ["time_hour", "carrier", "flight"]
NOT_NULL = [*KEY, "origin", "dest", "delay_risk"]
RANGES = {"distance_km": (0, 20_038), "bearing": (0, 360), "wind_chill": (-60, 130), "delay_risk": (0, 1)}
ACCEPTED = ("origin", ["EWR", "JFK", "LGA"])
MEANS = {"distance_km": (1000, 2500), "wind_chill": (30, 80), "carrier_delay_100": (5, 20), "delay_risk": (0.1, 0.5)}
# The largest distance that the distributions of both halves of the year may have.
DISTANCES = {"dep_delay": 0.2, "delay_risk": 0.3}


@dataclass
class Figures:
    """What was found in a table of features."""

    rows: int
    source_rows: int
    # Rows that share their key with another.
    duplicates: int
    # Values that are not among the accepted ones.
    unaccepted: int
    # NULLs, values out of range, means and distances by column.
    nulls: dict[str, int] = field(default_factory=dict)
    outside: dict[str, int] = field(default_factory=dict)
    means: dict[str, float] = field(default_factory=dict)
    distances: dict[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def broken(figures: Figures) -> list[str]:
    """Returns the rules that do not hold, one line each."""
    found = []
    if figures.rows != figures.source_rows:
        found.append(f"{figures.rows} rows, but the source has {figures.source_rows}")
    counts = {f"`{name}` is null": count for name, count in figures.nulls.items()}
    counts |= {f"`{name}` is out of range": count for name, count in figures.outside.items()}
    counts |= {"the key is not unique": figures.duplicates, f"`{ACCEPTED[0]}` is not accepted": figures.unaccepted}
    found += [f"{rule} in {count} rows" for rule, count in counts.items() if count]
    for name, (least, most) in MEANS.items():
        if not least <= figures.means[name] <= most:
            found.append(f"the mean of `{name}` is {figures.means[name]}")
    for name, most in DISTANCES.items():
        if not figures.distances[name] <= most:
            found.append(f"the halves of the year differ in `{name}` by {figures.distances[name]}")
    return found
