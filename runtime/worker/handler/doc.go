// Package handler does what a schema.Handler says with one task: it mails, posts,
// runs a command, writes a line or a report, or asks rsm serve to reconcile.
//
//	outcome, err := handler.Run(ctx, h, handler.Task{ID: id, Attempt: 1, Payload: payload}, env)
//
// A task may be run more than once: by a retry, and when its worker dies before it
// has said that it is done. The id of the task tells a receiver so: it is the
// Message-ID of a mail (hashed) and the Idempotency-Key of a request. What a
// receiver answers decides how it goes on, see Failure:
//
//	permanent   another try would fail the same way: 5xx of a mail server, 4xx of a
//	            web server, a command that is not there
//	retry       after the time that the receiver asked for, or after the back-off of
//	            the queue: 4xx of a mail server, 5xx of a web server, no answer
//
// Secrets are read for each run and never appear in an Outcome, an error or a log.
package handler
