// Package worker runs the tasks of queues.
//
//	mux := new(worker.Mux)
//	mux.HandleFunc("mail/", sendMail)
//	w := worker.Worker{Client: client, Worker: schema.Worker{Name: "w1", Concurrency: 10}, Settings: queues, Handler: mux}
//	err := w.Run(ctx)
//
// One fetcher blocks on the lists of its queues and reserves as many tasks as there
// are free slots, in one step; slots run them; one acker tells Redis of all that
// ended since it did so last. So many tasks cost few round trips, and one task waits
// for none. While tasks run, their leases are extended. A worker that dies is found
// by the others when its leases end, and every worker moves what is due.
//
// A task may be run more than once: when its worker dies, or is cut off from Redis
// for longer than the lease. Handlers have to bear that; the id of the task is the
// same each time.
package worker
