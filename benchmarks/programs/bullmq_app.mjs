// BullMQ: client and worker. The loops are those of side.py.
//
//     node bullmq_app.mjs worker
//     node bullmq_app.mjs ACTION COUNT [KIND | INTERVAL]

import { appendFileSync } from "node:fs";
import { createRequire } from "node:module";
import { performance } from "node:perf_hooks";
import { setTimeout as pause } from "node:timers/promises";

// From the folder of the benchmarks' own, not from beside this file.
const { Queue, QueueEvents, Worker } = createRequire(process.env.BENCH_MODULES + "/")("bullmq");

const NAME = process.env.BENCH_QUEUE;
const connection = { host: "127.0.0.1", port: Number(process.env.BENCH_PORT), maxRetriesPerRequest: null };
const concurrency = parseInt(process.env.BENCH_SETTING) || Number(process.env.BENCH_CONCURRENCY);
const WARM_UP = 50;
const CALLERS = 100;
const CHUNK = 1000;

// Unix time in nanoseconds; a double holds it to a quarter of a microsecond.
const nowNs = () => BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000)) * 1000n;

const kinds = {
  noop: async () => {},
  anoop: async () => {},
  sleep: () => pause(1),
  cpu: async () => {
    const end = process.cpuUsage();
    while (process.cpuUsage(end).user + process.cpuUsage(end).system < 1000);
  },
  mark: async (job) => {
    const now = nowNs();
    appendFileSync(process.env.BENCH_MARKS, `${job.data.sent} ${now}\n`);
  },
  value: async () => 1,
};

async function work() {
  const worker = new Worker(NAME, (job) => kinds[job.name](job), { connection, concurrency });
  await new Promise((stop) => process.once("SIGTERM", stop));
  await worker.close(true);
  process.exit(0);
}

async function main(action, count, option) {
  const queue = new Queue(NAME, { connection, defaultJobOptions: { removeOnComplete: true } });
  await queue.waitUntilReady();
  const one = (kind) => queue.add(kind, {});
  const many = async (kind, number) => {
    for (let start = 0; start < number; start += CHUNK) {
      const size = Math.min(CHUNK, number - start);
      await queue.addBulk(Array.from({ length: size }, () => ({ name: kind, data: {} })));
    }
  };
  const loop = async (kind, number) => {
    for (let index = 0; index < number; index++) await one(kind);
  };
  const scaled = async (call) => {
    const began = performance.now();
    await call(count - WARM_UP);
    return ((performance.now() - began) / 1000) * (count / Math.max(count - WARM_UP, 1));
  };
  let answer = {};
  if (action === "pings") {
    for (let index = 0; index < count; index++) {
      await pause(Number(option) * 1000 * (0.85 + 0.3 * Math.random()));
      await queue.add("mark", { sent: String(nowNs()) });
    }
  } else if (action === "round_trips") {
    const events = new QueueEvents(NAME, { connection });
    await events.waitUntilReady();
    answer = { seconds: [] };
    for (let index = 0; index < count; index++) {
      const began = performance.now();
      await (await queue.add("value", {}, { removeOnComplete: 1000 })).waitUntilFinished(events);
      answer.seconds.push((performance.now() - began) / 1000);
    }
  } else if (action === "bulk" || action === "preload") {
    await many(option, WARM_UP);
    answer = { seconds: await scaled((number) => many(option, number)) };
  } else if (action === "asyncio") {
    await loop(option, WARM_UP);
    const share = (number, index) => Math.floor(number / CALLERS) + (index < number % CALLERS ? 1 : 0);
    const crowd = (number) =>
      Promise.all(Array.from({ length: CALLERS }, (_, index) => loop(option, share(number, index))));
    answer = { seconds: await scaled(crowd) };
  } else if (action === "single") {
    await loop(option, WARM_UP);
    answer = { seconds: await scaled((number) => loop(option, number)) };
  } else {
    answer = { lacks: "no threads in JavaScript" };
  }
  console.log(JSON.stringify(answer));
  process.exit(0);
}

const [action, count, option] = process.argv.slice(2);
await (action === "worker" ? work() : main(action, Number(count), option));
