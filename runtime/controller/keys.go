package controller

import (
	"strings"
	"time"

	"rsm/runtime/controller/ledger"
)

const (
	// keyTime is how often it is looked whether a key expires, and told.
	keyTime = 24 * time.Hour
	// keyWarning is how long before it does.
	keyWarning = 30 * 24 * time.Hour
)

// checkKeys warns of keys that will verify nothing soon: that would keep every
// commit from being applied.
func (c *Controller) checkKeys() {
	now := c.Now()
	if c.Expiring == nil || now.Sub(c.keysAt) < keyTime {
		return
	}
	c.keysAt = now
	soon, err := c.Expiring(now, keyWarning)
	if err != nil {
		c.Log.Error("look whether keys expire", "error", err)
		return
	}
	if len(soon) > 0 {
		c.tell(ledger.Event{Level: "warning", Type: "key.expiring", Message: strings.Join(soon, "; ")})
	}
}
