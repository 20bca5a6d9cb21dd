#!/usr/bin/env python3
"""Take the notices of Hourglass, one JSON document a line on standard output. Nothing but Python is needed.

    export HOURGLASS_CALLBACK_SECRET=whsec_...      # as the workers have it
    python3 receive.py 127.0.0.1:8500
"""

import base64
import hashlib
import hmac
import http.server
import os
import sys
import time

KEY = base64.b64decode(os.environ["HOURGLASS_CALLBACK_SECRET"].removeprefix("whsec_"))
TOLERANCE = 300  # seconds
LONGEST = 1 << 20
seen = {}  # ids and when they came: a notice may come twice


def is_genuine(headers, body):
    """Was this signed with our secret, just now? See https://www.standardwebhooks.com."""
    stamp = headers.get("webhook-timestamp", "")
    if not stamp.isdigit() or abs(time.time() - int(stamp)) > TOLERANCE:
        return False
    signed = f"{headers.get('webhook-id')}.{stamp}.".encode() + body
    want = "v1," + base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    return any(hmac.compare_digest(want, given) for given in headers.get("webhook-signature", "").split())


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        length = int(self.headers.get("content-length", 0))
        body = self.rfile.read(min(length, LONGEST))
        if not is_genuine(self.headers, body):
            self.send_error(401)
            return
        notice = self.headers["webhook-id"]
        if notice not in seen:
            seen[notice] = time.time()
            print(body.decode(), flush=True)  # a real receiver puts it into its own queue here
        self.send_response(204)
        self.end_headers()

    def log_message(self, *args):
        pass


if __name__ == "__main__":
    host, port = sys.argv[1].split(":")
    server = http.server.ThreadingHTTPServer((host, int(port)), Receiver)
    print(f"http://{host}:{server.server_port}/", file=sys.stderr, flush=True)
    server.serve_forever()
