"""Serves an S3-compatible store on this machine until stdin closes: `server.py`.

Needs the packages `moto[s3]`, `Flask`, `flask-cors` and `boto3`. Makes the bucket `bucket` and prints
the endpoint's URL. Then follows one command a line, and answers each with the line `done`:

- `upload FOLDER PREFIX` puts the files of a folder below a prefix;
- `download FOLDER` writes every object of the bucket to a folder.

That stdin closes when the caller dies, however it dies, is what keeps servers from being left behind.
"""

import logging
import sys
from pathlib import Path

import boto3
from moto.server import ThreadedMotoServer

BUCKET = "bucket"


def upload(client, folder: str, prefix: str) -> None:
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file():
            client.upload_file(str(path), BUCKET, f"{prefix}/{path.relative_to(folder)}")


def download(client, folder: str) -> None:
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
        for entry in page.get("Contents", []):
            target = Path(folder) / entry["Key"]
            target.parent.mkdir(parents=True, exist_ok=True)
            client.download_file(BUCKET, entry["Key"], str(target))


def main() -> None:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="server",
        aws_secret_access_key="server",
    )
    client.create_bucket(Bucket=BUCKET)
    print(endpoint, flush=True)
    commands = {"upload": upload, "download": download}
    for line in sys.stdin:
        command, *arguments = line.split()
        commands[command](client, *arguments)
        print("done", flush=True)
    server.stop()


if __name__ == "__main__":
    main()
