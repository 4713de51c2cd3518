"""Has fitted models made into files as a worker does it, and writes what their libraries answer, as `train.py` does.

`exported.py FOLDER`: estimators of scikit-learn, LightGBM and XGBoost as code returns them, exported twice, on 20,000
rows with NaN and categories.
"""

import json
import pathlib
import sys

import numpy
import pandas
import train
from sklearn import compose, ensemble, impute, linear_model, pipeline, preprocessing

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "python" / "src"))

import lightgbm
import xgboost

from windlass._export import export

NUMBERS, ALL = ["a", "b", "e", "f"], ["a", "b", "e", "f", "c"]


def plain(frame):
    """Returns the columns that models read, texts as objects with None."""
    frame = frame[ALL].copy()
    frame["c"] = frame["c"].astype(object).where(frame["c"].notna(), None)
    return frame.astype({"b": float})


def encoded(**options):
    """Returns scaled numbers beside categories."""
    filled = pipeline.make_pipeline(impute.SimpleImputer(strategy="median"), preprocessing.StandardScaler())
    encode = preprocessing.OneHotEncoder(handle_unknown="ignore", **options)
    return compose.ColumnTransformer([("numbers", filled, NUMBERS), ("texts", encode, ["c"])])


def models(rows, y):
    """Yields each model with the columns that it reads, fitted."""
    middle, names = (y > y.median()).to_numpy(), numpy.array(["low", "mid", "top"])
    levels = names[numpy.digitize(y, numpy.quantile(y, [0.3, 0.7]))]
    counts = numpy.exp(y / 3)
    scaled = compose.ColumnTransformer(
        [
            ("numbers", preprocessing.StandardScaler(), NUMBERS),
            ("texts", preprocessing.OneHotEncoder(handle_unknown="ignore"), ["c"]),
        ]
    )
    yield "logistic", pipeline.make_pipeline(encoded(), linear_model.LogisticRegression(C=0.5)), ALL, middle
    yield "softmax", pipeline.make_pipeline(encoded(), linear_model.LogisticRegression()), ALL, levels
    yield "ridge", pipeline.make_pipeline(encoded(drop="first"), linear_model.Ridge()), ALL, y
    ranged = pipeline.make_pipeline(
        impute.SimpleImputer(), preprocessing.MinMaxScaler(), preprocessing.RobustScaler(), linear_model.Lasso(0.01)
    )
    yield "lasso", ranged, NUMBERS, y
    yield "forest", ensemble.RandomForestClassifier(40, random_state=1), NUMBERS, middle
    yield "forest_of_levels", ensemble.ExtraTreesClassifier(20, random_state=1), NUMBERS, levels
    yield "forest_regression", ensemble.RandomForestRegressor(30, random_state=1), NUMBERS, y
    forest = pipeline.make_pipeline(scaled, ensemble.RandomForestClassifier(30, random_state=1))
    yield "forest_of_texts", forest, ALL, middle
    yield "boosting", ensemble.GradientBoostingClassifier(n_estimators=40, random_state=1), ["b", "f"], middle
    yield "boosting_of_levels", ensemble.GradientBoostingClassifier(n_estimators=10, random_state=1), ["b", "f"], levels
    exponential = ensemble.GradientBoostingClassifier(loss="exponential", n_estimators=20, random_state=1)
    yield "boosting_exponential", exponential, ["f"], middle
    yield "boosting_regression", ensemble.GradientBoostingRegressor(n_estimators=40, random_state=1), ["b", "f"], y
    yield "histograms", ensemble.HistGradientBoostingClassifier(max_iter=40, random_state=1), NUMBERS, middle
    yield "histograms_of_levels", ensemble.HistGradientBoostingClassifier(max_iter=20, random_state=1), NUMBERS, levels
    yield "histograms_of_counts", ensemble.HistGradientBoostingRegressor(loss="poisson", max_iter=30), NUMBERS, counts
    yield "lightgbm", lightgbm.LGBMClassifier(n_estimators=40, verbose=-1), ALL, middle
    yield "xgboost", xgboost.XGBClassifier(n_estimators=40, enable_categorical=True), ALL, middle


def main():
    folder = pathlib.Path(sys.argv[1])
    generator = numpy.random.default_rng(17)
    training, data = plain(train.frame(generator, train.TRAINING)), plain(train.frame(generator, train.ROWS))
    # The scaled texts of a forest go through ONNX, whose texts have no word for a missing one.
    y = train.target(generator, training.assign(d=pandas.Categorical([0] * len(training), categories=[0])))
    cases = []
    for name, model, features, labels in models(training, y):
        rows, given = training[features], data[features]
        if name == "forest_of_texts":
            rows, given = (frame.assign(c=frame["c"].fillna("none")) for frame in (rows, given))
        if name in ("lightgbm", "xgboost"):
            rows, given = (frame.assign(c=pandas.Categorical(frame["c"], list("wxyz"))) for frame in (rows, given))
        model.fit(rows, labels)
        kinds = ["text" if feature == "c" else "number" for feature in features]
        settings = {"features": features, "kinds": kinds, "label_classes": [False, True]}
        exported, again = export(model, settings), export(model, settings)
        assert exported.data == again.data, f"{name} is exported in two ways"
        answers = model.predict_proba(given) if exported.classes else model.predict(given)
        case = train.write(folder, name, exported.format, exported.data, given, answers)
        cases.append(case | {"inputs": features} | ({"classes": exported.classes} if exported.classes else {}))
    (folder / "cases.json").write_text(json.dumps(cases))


if __name__ == "__main__":
    main()
