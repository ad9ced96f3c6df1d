// Package relay is the data path of the proxy: it passes the requests of many
// clients to the master over few connections, and the replies back.
//
// A loop is one goroutine that owns its clients and its connections to servers
// (backends) and shares nothing; it only ever waits for readiness. In one turn
// it reads every client that has something, appends complete requests as they
// came to the output of a backend, writes each backend once, reads what backends
// answered, cuts the stream into replies and appends them to the output of the
// client whose turn it is.
//
// A client is in one lane at a time: the backend it shares with others, or one
// of its own (a pin) for as long as the server keeps something for the
// connection: a transaction, a blocking command, subscriptions. It changes lanes only
// when nothing that it sent is unanswered, and that alone keeps its replies in order.
//
// Which backends may be shared depends on the server and on the client's
// identity: user, database, protocol version.
//
// What was sent to a backend is kept until it is answered. When a master goes
// away, that decides the fate of each request: what was not sent, what the server
// refused (READONLY, LOADING) and what only reads is done again on the next
// master; anything else that was not answered is in doubt, gets an error, and is
// never sent twice.
package relay
