# /// script
# dependencies = ["scikit-learn==1.9.1"]
# ///
"""The question of `delay_model` once more: fitted by scikit-learn in a worker, scored in SQL without Python."""

import numpy as np
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from windlass import model, ref

FEATURES = ["dep_delay", "distance", "hour", "humid", "wind_speed", "precip_6h", "visib", "route_late_rate_1d"]


@model(
    input=ref("feat_flight"),
    where="is_late is not null",
    label="is_late",
    features=FEATURES,
    order_by=["flight_id"],     # the same rows in the same order: the same model
    seed=7,
    gates={"auc": ">= 0.85"},   # a version below it is kept, and readers keep the one before
    tags=["ml"],
    description="How likely a departed flight is to arrive late, by scikit-learn.",
)
def train(data, run):
    columns = data.numpy()
    features = np.column_stack([columns[name].astype(float) for name in FEATURES])
    late = columns["is_late"].astype(bool)
    kept = np.random.default_rng(run.seed).random(len(late)) < 0.1      # for evaluation
    fitted = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression(max_iter=200))
    fitted.fit(features[~kept], late[~kept])
    run.log_metric("auc", roc_auc_score(late[kept], fitted.predict_proba(features[kept])[:, 1]))
    run.log_param("evaluated_rows", int(kept.sum()))
    return fitted
