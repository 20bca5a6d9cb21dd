#!/usr/bin/env node
// Hand a job to Hourglass, wait for its end, and print where the files are. Nothing but Node (18 or later) is needed.
//
//     export HOURGLASS_URL=http://127.0.0.1:8424 HOURGLASS_TOKEN=hgt_...
//     node submit.mjs order-4711 text-to-video '{"end_seconds": 5, "style": {"prompt": "a tin robot waves"}}'

const base = process.env.HOURGLASS_URL ?? "http://127.0.0.1:8424";
const token = process.env.HOURGLASS_TOKEN ?? "";
const settled = new Set(["done", "failed", "canceled", "unknown"]);
const pause = (seconds) => new Promise((wake) => setTimeout(wake, 1000 * seconds));

/** The server has said no, and why: `problem` is its answer, see RFC 9457. */
class Refused extends Error {
  constructor(problem) {
    const fields = (problem.errors ?? []).map((e) => `\n  ${e.path}: ${e.message}`).join("");
    super(`${problem.status} ${problem.code}: ${problem.detail}${fields}`);
    this.problem = problem;
  }
}

/** One request. It is sent again while the server or the network is in trouble, which is safe with an id. */
async function ask(method, path, body, tries = 5) {
  for (let last = 1; ; last++) {
    let answer;
    try {
      answer = await fetch(base + path, {
        method,
        headers: { authorization: `Bearer ${token}`, ...(body && { "content-type": "application/json" }) },
        body: body && JSON.stringify(body),
      });
    } catch (error) {
      if (last === tries) throw error;
      await pause(2 ** (last - 1));
      continue;
    }
    if (answer.ok) return answer;
    if (answer.status !== 503 || last === tries) throw new Refused(await answer.json());
    await pause(Number(answer.headers.get("retry-after") ?? 1));
  }
}

/** Hand in a job. The same call with the same id is one job, however often it is made. */
async function submit(id, operation, body, options = {}) {
  return (await ask("POST", "/v1/jobs", { id, operation, body, options })).json();
}

/** Yield the job as it stands, and after each change until it is settled. Broken connections are taken up again. */
async function* watch(id) {
  for (;;) {
    try {
      const answer = await ask("GET", `/v1/jobs/${id}/events`);
      let rest = "";
      for await (const chunk of answer.body.pipeThrough(new TextDecoderStream())) {
        const lines = (rest + chunk).split("\n");
        rest = lines.pop();
        for (const line of lines.filter((line) => line.startsWith("data: "))) {
          const job = JSON.parse(line.slice("data: ".length));
          yield job;
          if (settled.has(job.state)) return;
        }
      }
    } catch (error) {
      if (error instanceof Refused) throw error;
    }
    await pause(1);
  }
}

const [id, operation, body] = process.argv.slice(2);
try {
  await submit(id, operation, JSON.parse(body), { metadata: { from: "node" } });
  let job;
  for await (job of watch(id)) console.error(job.state);
  if (job.state !== "done") throw new Error(`${job.state}: ${JSON.stringify(job.error)}`);
  for (const output of job.outputs) console.log(output.url);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
