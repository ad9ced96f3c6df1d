package command

// kinds are the commands that do to their connection what no flag tells. What
// they do is part of the protocol, the same in every version.
var kinds = map[string]Kind{
	"multi":   Multi,
	"exec":    Exec,
	"discard": Discard,
	"watch":   Watch,
	"unwatch": Unwatch,

	"subscribe":    Subscribe,
	"psubscribe":   Subscribe,
	"ssubscribe":   Subscribe,
	"unsubscribe":  Unsubscribe,
	"punsubscribe": Unsubscribe,
	"sunsubscribe": Unsubscribe,

	"monitor": Stream,
	"sync":    Stream,
	"psync":   Stream,
	// REPLCONF ACK and GETACK have no reply at all (replication.c), so on a
	// shared connection every later reply would go to the wrong client.
	"replconf": Stream,

	"auth":    Auth,
	"hello":   Hello,
	"select":  Select,
	"reset":   Reset,
	"quit":    Quit,
	"client":  Client,
	"script":  Script,
	"wait":    Wait,
	"waitaof": Wait,

	// SHUTDOWN waits for replicas and answers only when it fails.
	"shutdown": Blocking,
	// Redis 6 has them in its table, as reads, later ones have not.
	"host:": Browser,
	"post":  Browser,

	// Redis 5 tells of none that it blocks.
	"blpop":      Blocking,
	"brpop":      Blocking,
	"brpoplpush": Blocking,
	"bzpopmin":   Blocking,
	"bzpopmax":   Blocking,
	"xread":      Blocking,
	"xreadgroup": Blocking,
}

// looks are commands without the flag "readonly" that change nothing anywhere,
// and XREAD, which is Blocking but takes nothing out of a stream. Containers
// stand here only if that is true of all their subcommands.
var looks = map[string]bool{
	"ping":     true,
	"echo":     true,
	"time":     true,
	"info":     true,
	"lastsave": true,
	"dbsize":   true,
	"role":     true,
	"xread":    true,

	"command":                 true,
	"command|count":           true,
	"command|docs":            true,
	"command|getkeys":         true,
	"command|getkeysandflags": true,
	"command|info":            true,
	"command|list":            true,
	"pubsub":                  true,
	"pubsub|channels":         true,
	"pubsub|numpat":           true,
	"pubsub|numsub":           true,
	"pubsub|shardchannels":    true,
	"pubsub|shardnumsub":      true,
	"acl|cat":                 true,
	"acl|whoami":              true,
	"config|get":              true,
	"function|dump":           true,
	"function|list":           true,
	"latency|latest":          true,
	"memory|stats":            true,
	"module|list":             true,
	"script|exists":           true,
	"slowlog|get":             true,
	"slowlog|len":             true,
}
