#!/usr/bin/env node
// Take the notices of Hourglass, one JSON document a line on standard output. Nothing but Node (18 or later) is needed.
//
//     export HOURGLASS_CALLBACK_SECRET=whsec_...      # as the workers have it
//     node receive.mjs 127.0.0.1:8500

import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const key = Buffer.from(process.env.HOURGLASS_CALLBACK_SECRET.replace(/^whsec_/, ""), "base64");
const tolerance = 300; // seconds
const longest = 1 << 20;
const seen = new Set(); // ids: a notice may come twice

/** Was this signed with our secret, just now? See https://www.standardwebhooks.com. */
function isGenuine(headers, body) {
  const stamp = headers["webhook-timestamp"] ?? "";
  if (!/^\d+$/.test(stamp) || Math.abs(Date.now() / 1000 - Number(stamp)) > tolerance) return false;
  const want = Buffer.from("v1," + createHmac("sha256", key).update(`${headers["webhook-id"]}.${stamp}.`).update(body).digest("base64"));
  return (headers["webhook-signature"] ?? "").split(" ").some((given) => {
    const bytes = Buffer.from(given);
    return bytes.length === want.length && timingSafeEqual(bytes, want);
  });
}

const server = createServer(async (request, response) => {
  const parts = [];
  let size = 0;
  for await (const part of request) if ((size += part.length) <= longest) parts.push(part);
  const body = Buffer.concat(parts);
  if (request.method !== "POST" || !isGenuine(request.headers, body)) return response.writeHead(401).end();
  const notice = request.headers["webhook-id"];
  if (!seen.has(notice)) {
    seen.add(notice);
    console.log(body.toString()); // a real receiver puts it into its own queue here
  }
  response.writeHead(204).end();
});
const [host, port] = process.argv[2].split(":");
server.listen(Number(port), host, () => console.error(`http://${host}:${server.address().port}/`));
