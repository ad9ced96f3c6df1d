package schema

import "strings"

// directive is the name of a redis.conf directive as rsm uses it: in lower
// case, and "replica" where Redis before 5.0 said "slave".
func directive(name string) string {
	return strings.ReplaceAll(strings.ToLower(name), "slave", "replica")
}

// refused tells what to use instead of a redis.conf directive that rsm derives
// from other fields, or that would take control away from rsm and Sentinel;
// "" for directives that config may hold. name is as
// directive returns it.
func refused(name string) string {
	switch name {
	case "replicaof":
		return "Sentinel decides who is master and rsm follows; seed names the first master"
	case "port":
		return "use the node's port"
	case "bind", "bind-source-addr":
		return "use the address of the node's host"
	case "replica-announce-ip", "replica-announce-port":
		return "rsm announces the host's address and the node's port"
	case "replica-announced":
		return "use priority: 0 for a replica that is never promoted"
	case "replica-priority":
		return "use the node's priority"
	case "requirepass", "masterauth":
		return "use auth.password with {env: ...} or {file: ...}"
	case "masteruser", "user", "aclfile":
		return "users are not supported yet; use auth.password"
	case "tls-key-file-pass", "tls-client-key-file-pass":
		return "a passphrase must not be written in a spec; use a key without one"
	case "dir", "pidfile", "logfile", "syslog-enabled":
		return "rsm keeps data, pid and log in its state directory (--state-dir)"
	case "daemonize", "supervised":
		return "rsm starts and watches the process itself"
	case "include":
		return "write the directives under config, so that they can be compared"
	case "rename-command":
		return "Sentinel and rsm need the commands under their own names"
	case "cluster-enabled", "cluster-config-file":
		return "rsm runs Redis with Sentinel, not Redis Cluster"
	}
	if strings.HasPrefix(name, "sentinel") {
		return "use the fields of sentinel"
	}
	return ""
}

// refusedSecret tells whether a path is a directive that holds a secret.
func refusedSecret(path string) bool {
	last := strings.ToLower(path[strings.LastIndexByte(path, '.')+1:])
	switch last {
	case "requirepass", "masterauth", "masteruser", "user", "tls-key-file-pass", "tls-client-key-file-pass":
		return strings.Contains(path, ".config.")
	}
	return false
}
