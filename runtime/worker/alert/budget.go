package alert

import "time"

// Budget is what one receiver was sent in the last minute, and what its rate holds
// back. Stored by the name of the receiver, together with the group or alone.
type Budget struct {
	Version int64 `json:"version"`
	// Sent are the times of the notifications of the last minute, oldest first.
	Sent []time.Time `json:"sent,omitempty"`
	// Held are the notifications that came too fast, as one.
	Held *Notification `json:"held,omitempty"`
	// Wake is when Pass has something to send, or this can be deleted; zero: at once.
	Wake time.Time `json:"wake,omitzero"`
}
