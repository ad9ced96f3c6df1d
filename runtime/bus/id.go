package bus

import (
	"crypto/rand"
	"time"
)

// IDs makes ids of events: ULIDs (github.com/ulid/spec), 26 letters and digits
// that sort by time. The zero value is of use, by several goroutines.
type IDs struct {
	// Now and Random are replaced in tests; nil means the clock, and 80 bits of
	// crypto/rand for each id.
	Now    func() time.Time
	Random func(bits []byte)
}

// crockford is base 32 without the letters that look like digits.
const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// New returns an id that nobody else has.
func (m *IDs) New() string {
	now := time.Now
	if m.Now != nil {
		now = m.Now
	}
	var id [16]byte
	ms := uint64(now().UnixMilli())
	for i := range 6 {
		id[i] = byte(ms >> (8 * (5 - i)))
	}
	if m.Random != nil {
		m.Random(id[6:])
	} else {
		_, _ = rand.Read(id[6:]) // never fails
	}
	return encode(id)
}

// encode writes 128 bits as 26 digits of 5 bits, the first of which has 3.
func encode(id [16]byte) string {
	var text [26]byte
	var bits, n uint
	next := len(text) - 1
	for i := len(id) - 1; i >= 0; i-- {
		bits |= uint(id[i]) << n
		for n += 8; n >= 5; n -= 5 {
			text[next] = crockford[bits&31]
			bits >>= 5
			next--
		}
	}
	text[0] = crockford[bits&31]
	return string(text[:])
}
