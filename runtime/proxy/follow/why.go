package follow

import (
	"fmt"
	"strings"
	"time"

	"rsm/schema"
)

// whyNobody says why the Sentinels name nobody, all of them in the order of the
// spec.
func (w *world) whyNobody(now time.Time) string {
	said, words := 0, make([]string, len(w.views))
	for i, v := range w.views {
		switch {
		case w.counts(v, now):
			said++
			words[i] = fmt.Sprintf("%s names %s at epoch %d", w.ears[i].addr, v.named, v.epoch)
		case v.err != "":
			words[i] = fmt.Sprintf("%s: %s", w.ears[i].addr, v.err)
		case v.asked.IsZero():
			words[i] = fmt.Sprintf("%s has not answered yet", w.ears[i].addr)
		default:
			words[i] = fmt.Sprintf("%s has not answered for %s", w.ears[i].addr, now.Sub(v.asked).Round(time.Second))
		}
	}
	all := strings.Join(words, ", ")
	if said < w.majority {
		return fmt.Sprintf("no majority of the Sentinels tells who is the master (%s)", all)
	}
	return "the Sentinels do not agree who is the master: " + all
}

// whyNoOther says what is known of a successor of addr.
func (w *world) whyNoOther(addr schema.Addr) string {
	c := w.choice
	switch {
	case c != nil && c.addr == addr:
		return ""
	case c != nil:
		return fmt.Sprintf("; Sentinel is promoting %s", c.addr)
	case w.nodes[addr].gone || !w.nodes[addr].silent.IsZero():
		return "; Sentinel has not chosen another yet"
	}
	return ""
}

// whyUnproven says what is missing in the proof that addr is the master.
func (w *world) whyUnproven(addr schema.Addr, epoch uint64, proof, now time.Time) string {
	missing := "a majority of the Sentinels does not answer"
	if now.Sub(w.nodes[addr].asked) > w.fence {
		missing = "it does not answer"
	}
	for i, v := range w.views {
		if v.err != "" {
			missing += fmt.Sprintf(" (%s: %s)", w.ears[i].addr, v.err)
			break
		}
	}
	if proof.IsZero() {
		return fmt.Sprintf("%s has not proven to be the master at epoch %d: %s", addr, epoch, missing)
	}
	return fmt.Sprintf("%s has not proven to be the master for %s: %s", addr, w.fence, missing)
}
