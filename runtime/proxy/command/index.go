package command

import (
	"encoding/binary"
	"math/bits"
)

// index is a hash table with open addressing from names to commands. Its hash
// is of the length and the first eight bytes, so that finding costs no loop for
// most names.
type index struct {
	slots []slot
	shift int // of a 64-bit hash, leaves a number below len(slots)
	skip  int // what stands before the indexed part of Command.Name
}

type slot struct {
	head    uint64 // of the name
	command *Command
}

// newIndex indexes what follows the first skip bytes of the names.
func newIndex(commands []*Command, skip int) index {
	if len(commands) == 0 {
		return index{}
	}
	width := bits.Len(uint(2 * len(commands))) // at most half full
	x := index{slots: make([]slot, 1<<width), shift: 64 - width, skip: skip}
	for _, c := range commands {
		name := []byte(c.Name[skip:])
		i := x.start(head(name), len(name))
		for x.slots[i].command != nil {
			i = x.next(i)
		}
		x.slots[i] = slot{head(name), c}
	}
	return x
}

func (x *index) find(name []byte) *Command {
	if len(x.slots) == 0 {
		return nil
	}
	want := head(name)
	for i := x.start(want, len(name)); ; i = x.next(i) {
		s := &x.slots[i]
		if s.command == nil {
			return nil
		}
		if s.head == want && equalTail(name, s.command.Name[x.skip:]) {
			return s.command
		}
	}
}

func (x *index) start(head uint64, length int) int {
	return int((head ^ uint64(length)) * 0x9E3779B97F4A7C15 >> x.shift)
}

func (x *index) next(i int) int { return (i + 1) & (len(x.slots) - 1) }

// head is the first eight bytes in lower case; all bytes of a shorter name, some
// of them twice.
func head(name []byte) uint64 {
	n := len(name)
	switch {
	case n >= 8:
		return lower8(binary.LittleEndian.Uint64(name))
	case n >= 4:
		low, high := binary.LittleEndian.Uint32(name), binary.LittleEndian.Uint32(name[n-4:])
		return lower8(uint64(low) | uint64(high)<<32)
	case n > 0:
		return lower8(uint64(name[0]) | uint64(name[n/2])<<8 | uint64(name[n-1])<<16)
	}
	return 0
}

// lower8 turns every byte from 'A' to 'Z' into lower case, eight at once: adding
// carries into the top bit of those bytes that are large enough.
func lower8(x uint64) uint64 {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	low := x &^ tops
	fromA := low + (0x80-'A')*ones
	afterZ := low + (0x80-'Z'-1)*ones
	return x | (fromA^afterZ)&^x&tops>>2
}

// equalTail compares a name in any case with one in lower case that has the same
// head.
func equalTail(name []byte, want string) bool {
	if len(name) != len(want) {
		return false
	}
	for i := 8; i < len(name); i++ {
		if lowerByte(name[i]) != want[i] {
			return false
		}
	}
	return true
}

func lowerByte(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + ('a' - 'A')
	}
	return c
}

// lower is strings.ToLower without what Unicode adds: servers compare bytes.
func lower(text string) string {
	b := []byte(text)
	for i, c := range b {
		b[i] = lowerByte(c)
	}
	return string(b)
}
