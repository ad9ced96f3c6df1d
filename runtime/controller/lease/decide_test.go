package lease

import (
	"fmt"
	"testing"
	"time"
)

var start = time.Unix(1_000_000, 0)

func at(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }

// seen is a look that finds these tokens in the queue, the first letter for each;
// "a" is mine.
func seen(asked int, queue string) look {
	l := look{asked: at(asked), got: at(asked + 10), reach: up, named: start}
	for i, token := range queue {
		id := int64(10 + i)
		l.queue = append(l.queue, claim{id: id, owner: "owner-" + string(token), token: string(token)})
		if token == 'a' {
			l.mine = id
		}
	}
	return l
}

func refusal(asked int) look { return look{asked: at(asked), got: at(asked + 1), reach: down} }

func TestSeat(t *testing.T) {
	t.Parallel()
	late := seen(1400, "a")
	late.got = at(1801)
	other := seen(1800, "a")
	other.mine, other.queue[0].id, other.named = 99, 99, at(1700)
	for _, tt := range []struct {
		name  string
		looks []look
		asked int
		votes bool
		gone  bool
	}{
		{"too new to have a place", []look{seen(100, "a"), seen(399, "a")}, 399, false, false},
		{"first once", []look{seen(1000, "ab")}, 1000, false, false},
		{"first long enough", []look{seen(500, "ab"), seen(1010, "ab")}, 1010, true, false},
		{"not quite", []look{seen(500, "ab"), seen(1009, "ab")}, 1009, false, false},
		{"a look of an earlier round", []look{seen(500, "ab"), seen(1010, "ab")}, 1400, false, false},
		{"too late", []look{seen(500, "a"), seen(1010, "a"), late}, 1400, false, false},
		{"a late look keeps the place", []look{seen(500, "a"), late, seen(1900, "a")}, 1900, true, false},
		{"behind", []look{seen(500, "ba"), seen(1010, "ba")}, 1010, false, false},
		{"somebody got in between", []look{seen(500, "a"), seen(700, "ba"), seen(1010, "a")}, 1010, false, false},
		{"another connection", []look{seen(500, "a"), seen(1010, "a"), other}, 1800, false, false},
		{"no answer", []look{seen(500, "a"), {asked: at(1010), got: at(1310)}}, 1010, false, false},
		{"lost in between", []look{seen(500, "a"), {asked: at(700), got: at(710)}, seen(1010, "a")}, 1010, false, false},
		{"refused once", []look{refusal(1000)}, 1000, false, false},
		{"refused for long", []look{refusal(500), refusal(900), refusal(1001)}, 1001, false, true},
		{"a gap in which it may have been up", []look{refusal(100), refusal(1000)}, 1000, false, false},
		{"it was up", []look{refusal(500), seen(700, "a"), refusal(1001)}, 1001, false, false},
		{"it was unknown", []look{refusal(500), {asked: at(700), got: at(1000)}, refusal(1001)}, 1001, false, false},
	} {
		var s seat
		for _, l := range tt.looks {
			s = s.after(l)
		}
		if votes, gone := s.votes(at(tt.asked)), s.gone(at(tt.asked)); votes != tt.votes || gone != tt.gone {
			t.Errorf("%s: votes %t, gone %t; want %t, %t", tt.name, votes, gone, tt.votes, tt.gone)
		}
	}
}

// seatOf is a seat at 2000 ms: a queue of long standing, "-" for a Sentinel that
// is down for long, "!" for one that was refused just now, "?" for one that does
// not answer, "*" before a queue that is new.
func seatOf(what string) seat {
	var s seat
	switch {
	case what == "-":
		return s.after(refusal(1400)).after(refusal(2000))
	case what == "!":
		return s.after(refusal(2000))
	case what == "?":
		return s.after(look{asked: at(2000), got: at(2300)})
	case what[0] == '*':
		return s.after(seen(2000, what[1:]))
	}
	return s.after(seen(1400, what)).after(seen(2000, what))
}

func TestDecide(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		seats []string
		want  string
	}{
		{[]string{"a", "a", "a"}, "mine 3/3 calm owner-a"},
		{[]string{"ab", "a", "a"}, "mine 3/3 calm owner-a"},
		{[]string{"a", "a", "ba"}, "mine 2/3 owner-a"},
		{[]string{"a", "ba", "ba"}, "1/3 owner-b"},
		{[]string{"a", "a", "?"}, "mine 2/3 owner-a"},
		{[]string{"a", "?", "?"}, "open 1/3"},
		{[]string{"?", "?", "?"}, "open 0/3"},
		{[]string{"ba", "ba", "?"}, "0/3 owner-b"},
		{[]string{"a", "ba", "?"}, "open 1/3"},
		{[]string{"a", "a", "-"}, "mine 2/2 owner-a"},
		{[]string{"a", "-", "-"}, "mine 1/1 owner-a"},
		{[]string{"a", "!", "-"}, "open 1/2 owner-a"},
		{[]string{"a", "?", "-"}, "open 1/2"},
		{[]string{"a", "*a", "*a"}, "open 1/3 owner-a"},
		{[]string{"-", "-", "-"}, "mine bare 0/0"},
		{[]string{"-", "-", "!"}, "open 0/1"},
		{[]string{"-", "-", "?"}, "open 0/1"},
		{nil, "mine bare 0/0 calm"},
		{[]string{"ab", "ba", "-"}, "1/2"},            // b has the greater token
		{[]string{"aA", "Aa", "-"}, "1/2 split"},      // a has
		{[]string{"aA", "Aa", "?"}, "open 1/3 split"}, // and nobody can have the third
		{[]string{"a", "A", "c"}, "1/3 split"},        // all but the smallest go
		{[]string{"b", "A", "c"}, "0/3"},              // I have nothing to give up
		{[]string{"aA", "a", "Aa", "A"}, "2/4 split"}, // an even number
		{[]string{"aA", "a", "a", "A"}, "mine 3/4 owner-a"},
	} {
		var seats []seat
		for _, what := range tt.seats {
			seats = append(seats, seatOf(what))
		}
		if got := told(decide("a", at(2000), at(2400), seats)); got != tt.want {
			t.Errorf("%q: %s; want %s", tt.seats, got, tt.want)
		}
	}
	if v := decide("a", at(2000), at(2501), []seat{seatOf("a")}); v.mine {
		t.Error("a round that took too long is none")
	}
}

func told(v verdict) string {
	text := ""
	for _, f := range []struct {
		name string
		yes  bool
	}{{"mine ", v.mine}, {"bare ", v.bare}, {"open ", v.open}} {
		if f.yes {
			text += f.name
		}
	}
	text += fmt.Sprintf("%d/%d", v.votes, v.voters)
	if v.calm {
		text += " calm"
	}
	if v.split {
		text += " split"
	}
	if v.leader != nil {
		text += " " + v.leader.owner
	}
	return text
}

func TestStale(t *testing.T) {
	t.Parallel()
	const ttl = 10 * time.Second
	for _, tt := range []struct {
		name  string
		queue []claim
		want  int64
	}{
		{"nobody", nil, 0},
		{"me, however long", []claim{{id: 7, token: "a", idle: time.Hour}}, 0},
		{"alive", []claim{{id: 3, token: "b", idle: 9 * time.Second}, {id: 7, token: "a"}}, 0},
		{"hangs", []claim{{id: 3, token: "b", idle: ttl}, {id: 7, token: "a"}}, 3},
		{"only the first", []claim{{id: 3, token: "b"}, {id: 4, token: "c", idle: ttl}, {id: 7, token: "a"}}, 0},
		{"what I have given up", []claim{{id: 3, token: "a"}, {id: 7, token: "a"}}, 3},
	} {
		if got, yes := stale(tt.queue, "a", 7, ttl); yes != (tt.want != 0) || yes && got != tt.want {
			t.Errorf("%s: %d, %t; want %d", tt.name, got, yes, tt.want)
		}
	}
}
