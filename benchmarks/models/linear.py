"""A logistic regression of Windlass as scikit-learn's own pipeline, with the same weights."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from columns import standardised


def logistic_of_file(file: str) -> Pipeline:
    """Returns `StandardScaler` and `LogisticRegression` as if they had been fitted to what the file says."""
    mean, scale, weights, intercept = standardised(file)
    scaler = StandardScaler()
    scaler.mean_, scaler.scale_, scaler.var_ = mean, scale, scale**2
    scaler.n_features_in_, scaler.n_samples_seen_ = len(mean), 1
    regression = LogisticRegression()
    regression.coef_, regression.intercept_ = weights[None, :], np.array([intercept])
    regression.classes_, regression.n_features_in_ = np.array([0, 1]), len(mean)
    return make_pipeline(scaler, regression)
