#!/usr/bin/env python3
"""Hand a job to Hourglass, wait for its end, and print where the files are. Nothing but Python is needed.

    export HOURGLASS_URL=http://127.0.0.1:8424 HOURGLASS_TOKEN=hgt_...
    python3 submit.py order-4711 text-to-video '{"end_seconds": 5, "style": {"prompt": "a tin robot waves"}}'
"""

import http.client
import json
import os
import sys
import time
import urllib.error
import urllib.request

BASE = os.environ.get("HOURGLASS_URL", "http://127.0.0.1:8424")
TOKEN = os.environ.get("HOURGLASS_TOKEN", "")
SETTLED = {"done", "failed", "canceled", "unknown"}


class Refused(Exception):
    """The server has said no, and why: `problem` is its answer, see RFC 9457."""

    def __init__(self, problem):
        fields = "".join(f"\n  {e['path']}: {e['message']}" for e in problem.get("errors", []))
        super().__init__(f"{problem['status']} {problem['code']}: {problem['detail']}{fields}")
        self.problem = problem


def ask(method, path, body=None, tries=5):
    """One request. It is sent again while the server or the network is in trouble, which is safe with an id."""
    request = urllib.request.Request(BASE + path, method=method)
    request.add_header("Authorization", f"Bearer {TOKEN}")
    if body is not None:
        request.add_header("Content-Type", "application/json")
        request.data = json.dumps(body).encode()
    for last in range(tries):
        try:
            return urllib.request.urlopen(request, timeout=60)
        except urllib.error.HTTPError as error:
            if error.code != 503 or last == tries - 1:
                raise Refused(json.load(error)) from None
            time.sleep(int(error.headers.get("Retry-After", 1)))
        except (OSError, http.client.HTTPException):
            if last == tries - 1:
                raise
            time.sleep(2**last)


def submit(job_id, operation, body, **options):
    """Hand in a job. The same call with the same id is one job, however often it is made."""
    with ask("POST", "/v1/jobs", {"id": job_id, "operation": operation, "body": body, "options": options}) as answer:
        return json.load(answer)


def watch(job_id):
    """Yield the job as it stands, and after each change until it is settled. Broken connections are taken up again."""
    while True:
        try:
            with ask("GET", f"/v1/jobs/{job_id}/events") as events:
                for line in events:
                    if line.startswith(b"data: "):
                        job = json.loads(line[len(b"data: ") :])
                        yield job
                        if job["state"] in SETTLED:
                            return
        except (OSError, http.client.HTTPException):
            time.sleep(1)


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    job_id, operation, body = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    try:
        submit(job_id, operation, body, metadata={"from": "python"})
        for job in watch(job_id):
            print(job["state"], file=sys.stderr)
    except Refused as refused:
        sys.exit(str(refused))
    if job["state"] != "done":
        sys.exit(f"{job['state']}: {job['error']}")
    for output in job["outputs"]:
        print(output["url"])


if __name__ == "__main__":
    main()
