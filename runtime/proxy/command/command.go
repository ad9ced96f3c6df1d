package command

// Kind says what a command does to the connection it is sent on.
type Kind uint8

const (
	// Plain leaves nothing behind: it may share a connection with other clients.
	Plain Kind = iota
	// Blocking may keep its connection busy: it needs one of its own until it is
	// answered. Flag "blocking", and what the table does not know.
	Blocking
	// Multi, Exec, Discard, Watch and Unwatch belong to transactions.
	Multi
	Exec
	Discard
	Watch
	Unwatch
	// Subscribe and Unsubscribe are all six of them.
	Subscribe
	Unsubscribe
	// Stream turns the connection into one that no longer answers requests one by
	// one: MONITOR, SYNC, PSYNC.
	Stream
	// Auth, Hello, Select, Reset and Quit change who the client is.
	Auth
	Hello
	Select
	Reset
	Quit
	// Client is CLIENT with any subcommand.
	Client
	// Script is SCRIPT with any subcommand; only SCRIPT DEBUG changes the connection.
	Script
	// Wait is WAIT and WAITAOF: they ask about the writes of their connection.
	Wait
	// Browser is what a browser says that was made to connect, and no client of
	// Redis: POST and Host:. A server closes the connection, lest it takes the rest
	// of an HTTP request for commands.
	Browser
)

// Command is what is known of one command. Values are shared and never changed.
type Command struct {
	// ID numbers the commands of a table from 0 without gaps; 0 is the entry that
	// stands for every unknown command.
	ID int
	// Name in lower case.
	Name string
	Kind Kind
	// Write and Read are the flags "write" and "readonly". A command with neither
	// (PUBLISH, EVAL, PING) may or may not change data.
	Write, Read bool
	// Repeat means that a server may get it twice: reads, and what only looks
	// (PING, ECHO, TIME, INFO …).
	Repeat bool
	// FirstKey is the index of the first key among the arguments, counted from 1
	// (the name is 0); 0 when there is none or it moves.
	FirstKey int
	// Admin is the flag "admin".
	Admin bool
}
