package execute

import "testing"

func TestNext(t *testing.T) {
	t.Parallel()
	const r2 = "127.0.0.1:7002"
	for what, tt := range map[string]struct {
		s    sight
		want move
	}{
		"replicas are behind":                   {sight{}, wait},
		"replicas have everything":              {sight{caughtUp: true}, ask},
		"too late to catch up":                  {sight{late: true}, giveUp},
		"they caught up too late":               {sight{late: true, caughtUp: true}, giveUp},
		"interrupted":                           {sight{interrupted: true, caughtUp: true}, giveUp},
		"somebody else failed over":             {sight{leader: r2}, demote},
		"somebody else failed over, too late":   {sight{leader: r2, late: true, interrupted: true}, demote},
		"Sentinel is at it":                     {sight{asked: true, caughtUp: true}, wait},
		"an interrupt comes too late":           {sight{asked: true, interrupted: true}, wait},
		"promoted":                              {sight{asked: true, leader: r2}, demote},
		"promoted at the end":                   {sight{asked: true, leader: r2, over: true, late: true, hopeless: true}, demote},
		"Sentinel gave up":                      {sight{asked: true, over: true}, giveUp},
		"writes waited long enough":             {sight{asked: true, late: true}, release},
		"writes waited and Sentinel gave up":    {sight{asked: true, late: true, over: true}, giveUp},
		"writes go on, Sentinel is still at it": {sight{asked: true, late: true, released: true}, wait},
		"promoted while writes go on":           {sight{asked: true, late: true, released: true, leader: r2}, demote},
		"Sentinel will never do it":             {sight{asked: true, late: true, released: true, hopeless: true}, giveUp},
	} {
		if have := tt.s.next(); have != tt.want {
			t.Errorf("%s: move %d, want %d", what, have, tt.want)
		}
	}
}
