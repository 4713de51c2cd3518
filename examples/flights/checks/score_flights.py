"""Looks at the scores before they are published."""

from datetime import date

import pyarrow.compute as pc
from windlass import check, ref


@check(input=ref("score_flights"), columns=["flight_id"], batch_format="pyarrow")
def flight_id_ends_with_a_day(batch):
    days = pc.utf8_slice_codeunits(batch["flight_id"], -10)
    # A year has few of them: each is looked at once in a batch.
    known = {day: is_day(day) for day in pc.unique(days).to_pylist()}
    return [known[day] for day in days.to_pylist()]


def is_day(text):
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
