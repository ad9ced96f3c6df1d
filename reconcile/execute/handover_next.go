package execute

import "rsm/schema"

// sight is what a handover knows at one moment.
type sight struct {
	// leader is the replica that says that it is the master now, "" for none.
	leader schema.Addr
	// caughtUp: whoever may be promoted has every write from before the pause.
	caughtUp bool
	// asked: Sentinel was told to fail over, or may have been.
	asked bool
	// over: no failover is under way any more. It is read before leader, so that
	// one that succeeded shows there.
	over bool
	// late: the time to catch up is up or, once Sentinel was asked, the time that
	// writes may wait.
	late bool
	// hopeless: Sentinel's own time for a failover is up as well.
	hopeless bool
	// released: writes go on although Sentinel was asked.
	released bool
	// interrupted: nobody wants it any more.
	interrupted bool
}

// move is what comes next in a handover.
type move int

const (
	wait    move = iota // look again
	ask                 // tell Sentinel to fail over
	demote              // the old master follows the new one, then its clients go on
	release             // clients go on, and the promotion is still watched for
	giveUp              // clients go on, the old master stays
)

// next decides. Once Sentinel was asked, clients of the old master go on only after
// a look has shown that nobody leads yet; and whoever leads later is followed at once.
func (s sight) next() move {
	switch {
	case s.leader != "":
		return demote
	case !s.asked && (s.late || s.interrupted):
		return giveUp
	case !s.asked && s.caughtUp:
		return ask
	case !s.asked:
		return wait
	case s.over || s.hopeless:
		return giveUp
	case s.late && !s.released:
		return release
	}
	return wait
}
