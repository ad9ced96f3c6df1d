// Talks to a Redis through ioredis as an application would: check.js PORT.
// Prints one line per thing that worked; the caller compares them with those of
// a server that is asked directly.
const Redis = require("ioredis");

const port = Number(process.argv[2]);
const open = (options) => new Redis(port, "127.0.0.1", { maxRetriesPerRequest: 1, ...options });
const say = (...words) => console.log(...words.map((w) => (typeof w === "string" ? w : JSON.stringify(w))));

async function main() {
  const r = open();
  await r.flushall();
  say("set", await r.set("k", "v"), await r.get("k"), await r.get("none"));
  say("binary", await r.set("b", Buffer.from([0, 13, 10, 255])), (await r.getBuffer("b")).toString("hex"));
  say("hash", await r.hset("h", { a: 1, b: 2 }), await r.hgetall("h"));
  say("many", (await Promise.all(Array.from({ length: 1000 }, () => r.incr("n")))).at(-1));
  say("error", await r.lpush("k", 1).catch((err) => err.message));
  say("pipeline", await r.pipeline().set("p", 1).incr("p").lpush("k", 1).get("p").exec().then((l) => l.map(([err, v]) => err?.message ?? v)));
  say("transaction", await r.multi().set("t", 1).incr("t").exec());
  say("inside", await r.multi({ pipeline: false }), await r.incr("t"), await r.exec());

  await r.watch("t");
  const other = open();
  await other.incr("t");
  say("watch", await r.multi().set("t", "lost").exec(), await r.get("t"));

  const sub = open();
  const got = [];
  sub.on("message", (channel, message) => got.push([channel, message]));
  sub.on("pmessage", (pattern, channel, message) => got.push([pattern, channel, message]));
  say("subscribe", await sub.subscribe("c"), await sub.psubscribe("d*"));
  say("publish", await r.publish("c", "one"), await r.publish("dx", "two"));
  say("ping", await sub.ping());
  say("messages", got);
  say("unsubscribe", await sub.unsubscribe("c"), await sub.punsubscribe("d*"), await sub.get("k"));

  const blocked = other.blpop("q", 5);
  await r.rpush("q", "x");
  say("blpop", await blocked, await other.blpop("q", 0.05));
  r.defineCommand("bump", { numberOfKeys: 1, lua: "return {KEYS[1], ARGV[1], redis.call('incr', KEYS[1])}" });
  say("script", await r.bump("n", "x"), await r.bump("n", "y"));
  const third = open({ db: 3, connectionName: "tester" });
  say("select", await third.set("k", "other"), await third.get("k"), await r.get("k"), await third.client("GETNAME"));
  say("big", (await r.echo("x".repeat(3000000))).length);
  for (const client of [r, other, sub, third]) say("quit", await client.quit());
}

main().catch((err) => {
  console.error(err);
  process.exit(1);
});
