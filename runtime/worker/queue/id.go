package queue

import (
	"crypto/rand"
	"encoding/binary"
	"strings"
	"time"
)

// crockford is the alphabet of ULIDs: https://github.com/ulid/spec.
const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// NewID returns a new ULID: 48 bits of milliseconds since 1970, 80 random ones, as
// 26 letters and digits.
func NewID() string { return newID(time.Now()) }

func newID(now time.Time) string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	high := uint64(now.UnixMilli())<<16 | uint64(binary.BigEndian.Uint16(b[:]))
	low := binary.BigEndian.Uint64(b[8:])
	var out [26]byte
	for i := 25; i >= 0; i-- {
		out[i] = crockford[low&31]
		low = low>>5 | high<<59
		high >>= 5
	}
	return string(out[:])
}

// BornAt is the time in an id that begins with a ULID, such as those of NewID and
// of tasks that an event gave; ok is false for all others.
func BornAt(id string) (at time.Time, ok bool) {
	if len(id) < 26 || len(id) > 26 && id[26] != ':' {
		return time.Time{}, false
	}
	var ms int64
	for i := range 26 {
		digit := strings.IndexByte(crockford, id[i])
		if digit < 0 {
			return time.Time{}, false
		}
		if i < 10 {
			ms = ms<<5 | int64(digit)
		}
	}
	return time.UnixMilli(ms), true
}
