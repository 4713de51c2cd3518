"""Tells what an MLflow server knows: the runs of an experiment, and where `champion` of a model points.

Takes the server's address, the experiment and the model; prints JSON.
"""

import json
import sys

import mlflow


def main(uri, experiment, model):
    mlflow.set_tracking_uri(uri)
    client = mlflow.MlflowClient()
    found = client.get_experiment_by_name(experiment)
    runs = client.search_runs([found.experiment_id], order_by=["attributes.start_time"]) if found else []
    told = []
    for run in runs:
        inputs = [f"{used.dataset.name} for {used.tags[0].value}" for used in run.inputs.dataset_inputs]
        kept = {key: value for key, value in run.data.params.items() if key == "table" or key.startswith("model.")}
        told.append({"name": run.info.run_name, "params": kept, "metrics": run.data.metrics, "inputs": sorted(inputs)})
    versions = len(client.search_model_versions(f"name='{model}'"))
    champion = client.get_model_version_by_alias(model, "champion").version
    print(json.dumps({"runs": told, "versions": versions, "champion": int(champion)}))


main(*sys.argv[1:])
