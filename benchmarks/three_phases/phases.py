"""What each phase of a run took: the samples between two marks."""

from dataclasses import dataclass

from common.measure import Measurement, Sample


@dataclass(frozen=True)
class Mark:
    """A phase, or several that are one to an engine, and when it ended."""

    phase: str
    at_s: float


@dataclass(frozen=True)
class PhaseFigures:
    """What a phase took."""

    wall_s: float
    cpu_s: float
    peak_bytes: int


def figures(measured: Measurement, marks: list[Mark]) -> dict[str, PhaseFigures]:
    """Returns each phase's share. The first has the start of the process, the last its end."""
    found = {}
    begun_s, begun_cpu_s = measured.started_s, 0.0
    for mark in marks:
        is_last = mark is marks[-1]
        ended_s = measured.started_s + measured.wall_s if is_last else mark.at_s
        samples = [sample for sample in measured.samples if begun_s <= sample.at_s <= ended_s]
        ended_cpu_s = measured.cpu_s if is_last else cpu_at(measured.samples, ended_s)
        peak_bytes = max((sample.resident_bytes for sample in samples), default=0)
        found[mark.phase] = PhaseFigures(ended_s - begun_s, ended_cpu_s - begun_cpu_s, peak_bytes)
        begun_s, begun_cpu_s = ended_s, ended_cpu_s
    return found


def cpu_at(samples: list[Sample], at_s: float) -> float:
    """Returns the CPU seconds that were taken by a moment, from the sample before it."""
    return next((sample.cpu_s for sample in reversed(samples) if sample.at_s <= at_s), 0.0)
