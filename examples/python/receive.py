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

if len(sys.argv) != 2 or "HOURGLASS_CALLBACK_SECRET" not in os.environ:
    sys.exit(__doc__)
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
    want = b"v1," + base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest())
    return any(hmac.compare_digest(want, given.encode()) for given in headers.get("webhook-signature", "").split())


class Receiver(http.server.BaseHTTPRequestHandler):
    timeout = 15  # seconds, for a caller that says nothing

    def do_POST(self):
        length = self.headers.get("content-length", "")
        if not length.isdigit() or int(length) > LONGEST:
            self.send_error(400)
            return
        body = self.rfile.read(int(length))
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
