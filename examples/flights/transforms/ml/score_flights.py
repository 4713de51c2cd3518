"""Scores every departed flight: how likely is it to arrive late?"""

import numpy as np
from delay_risk import COEFFICIENTS, DELAY_RANGE, INTERCEPT
from windlass import ref, transform


@transform(
    input=ref("feat_departure"),
    input_columns=["flight_id", "dep_delay", "distance", "hour_sin", "hour_cos", "wind_chill", "wind_speed", "route_late_rate_1d"],
    columns={"flight_id": "varchar", "p_late": "double"},
    key=["flight_id"],
    # Checked before Python sees a row. 1.6 % of all flights lack weather, or their route did not fly yesterday.
    requires={"not_null": ["temp", "wind_speed", "route_late_rate_1d"]},
    on_error="quarantine",
    max_error_rate="2%",
    tags=["ml"],
)
class ScoreFlights:
    def __init__(self):
        self.weights = {name: np.float64(weight) for name, weight in COEFFICIENTS.items()}

    def __call__(self, batch):
        inputs = dict(batch, dep_delay=np.clip(batch["dep_delay"], *DELAY_RANGE))
        risk = INTERCEPT + sum(weight * inputs[name] for name, weight in self.weights.items())
        return {"flight_id": batch["flight_id"], "p_late": 1 / (1 + np.exp(-risk))}
