"""Talks to a Redis through redis-py as an application would: check.py PORT.

Prints one line per thing that worked; the caller compares them with those of a
server that is asked directly.
"""

import sys
import threading

import redis

port = int(sys.argv[1])


def main():
    r = redis.Redis(port=port, decode_responses=True, socket_timeout=10, health_check_interval=1)
    r.flushall()
    say("set", r.set("k", "v", ex=1000), r.get("k"), r.get("none"))
    say("binary", redis.Redis(port=port).set("b", b"\x00\r\n\xff"), redis.Redis(port=port).get("b"))
    say("hash", r.hset("h", mapping={"a": 1, "b": 2}), r.hgetall("h"))
    say("zset", r.zadd("z", {"a": 1.5, "b": 2}), r.zrange("z", 0, -1, withscores=True))
    say("stream", r.xadd("x", {"f": "v"}, id="1-1"), r.xread({"x": "0"}))
    say("scan", sorted(r.scan_iter(count=2)))
    try:
        r.lpush("k", 1)
    except redis.ResponseError as err:
        say("error", err)
    pipe(r)
    lock(r)
    messages(r)
    blocking(r)
    say("script", r.register_script("return {KEYS[1], ARGV[1], redis.call('incr', 'n')}")(keys=["a"], args=["b"]))
    say("select", redis.Redis(port=port, db=3).set("k", "other"), redis.Redis(port=port, db=3, decode_responses=True).get("k"), r.get("k"))
    named = redis.Redis(port=port, client_name="tester", decode_responses=True)
    say("client", named.client_getname(), [c["name"] for c in named.client_list() if c["name"]], "redis_version" in r.info())


def pipe(r):
    with r.pipeline(transaction=False) as p:
        for i in range(1000):
            p.incr("n")
        say("pipeline", p.execute()[-1])
    with r.pipeline() as p:
        say("transaction", p.set("t", 1).incr("t").get("t").execute())


def lock(r):
    """Two optimistic transactions, of which the second one is too late."""
    with r.pipeline() as p:
        p.watch("t")
        r.incr("t")
        p.multi()
        p.set("t", "lost")
        try:
            say("watch", p.execute())
        except redis.WatchError:
            say("watch", "noticed", r.get("t"))
    with r.lock("lock", timeout=5):
        say("lock", "held", r.exists("lock"))
    say("unlock", r.exists("lock"))


def messages(r):
    p = r.pubsub()
    p.subscribe("c")
    p.psubscribe("d*")
    got = [p.get_message(timeout=5) for _ in range(2)]
    say("publish", r.publish("c", "one"), r.publish("dx", "two"))
    got += [p.get_message(timeout=5) for _ in range(2)]
    say("messages", [(m["type"], m["channel"], m["data"]) for m in got])
    p.close()


def blocking(r):
    waiter = threading.Thread(target=lambda: say("blpop", r.blpop("q", timeout=5)))
    waiter.start()
    r.rpush("q", "x")
    waiter.join()
    say("timeout", r.blpop("q", timeout=1))


def say(*words):
    print(*words)


main()
