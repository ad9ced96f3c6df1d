package command

import (
	"strings"
	"testing"
)

// slow finds a command the obvious way.
func slow(table *Table, name []byte) *Command {
	key := lower(string(name))
	for id := 1; id < table.Len(); id++ {
		if c := table.At(id); c.Name == key && !strings.Contains(key, "|") {
			return c
		}
	}
	return table.At(0)
}

func TestLookup(t *testing.T) {
	t.Parallel()
	table := live(t)
	for id := 1; id < table.Len(); id++ {
		want := table.At(id)
		parent, sub, isSub := strings.Cut(want.Name, "|")
		for _, spell := range []func(string) string{strings.ToLower, strings.ToUpper, capital} {
			got := table.Lookup([]byte(spell(parent)))
			if isSub {
				got = table.Sub(got, []byte(spell(sub)))
			}
			if got != want {
				t.Errorf("%s finds %v", spell(want.Name), got)
			}
		}
		if isSub {
			continue
		}
		for i := range want.Name { // what looks like it must not be taken for it
			name := []byte(want.Name)
			for _, flip := range []byte{0x80, 0x20, 0x40, 0x01} {
				name[i] = want.Name[i] ^ flip
				if got := table.Lookup(name); got != slow(table, name) {
					t.Errorf("%q finds %v", name, got)
				}
			}
		}
	}
}

func FuzzLookup(f *testing.F) {
	table := live(f)
	for _, seed := range []string{"", "get", "GET", "geoRadiusByMember_ro", "\xff\x00", "gET\x00", "\u212aeys", "g", "client|kill", "[et", "`et"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, name []byte) {
		if got, want := table.Lookup(name), slow(table, name); got != want {
			t.Errorf("%q finds %v, want %v", name, got, want)
		}
		table.Sub(table.Lookup([]byte("client")), name)
	})
}

func TestLookupAllocatesNothing(t *testing.T) {
	table := live(t)
	names := [][]byte{[]byte("GET"), []byte("set"), []byte("ZREVRANGEBYSCORE"), []byte("nosuch"), {}}
	allocs := testing.AllocsPerRun(1000, func() {
		for _, name := range names {
			table.Lookup(name)
		}
		table.Sub(table.Lookup([]byte("CLIENT")), []byte("KILL"))
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func BenchmarkLookup(b *testing.B) {
	table := live(b)
	for _, name := range []string{"GET", "set", "HINCRBYFLOAT", "GEORADIUSBYMEMBER_RO", "nosuch"} {
		b.Run(name, func(b *testing.B) {
			key := []byte(name)
			for b.Loop() {
				table.Lookup(key)
			}
		})
	}
	b.Run("CLIENT KILL", func(b *testing.B) {
		parent, sub := []byte("CLIENT"), []byte("KILL")
		for b.Loop() {
			table.Sub(table.Lookup(parent), sub)
		}
	})
}

func capital(name string) string { return strings.ToUpper(name[:1]) + name[1:] }
