package host

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"rsm/reconcile"
)

// data tells whether the role has keys on disk. A file that Redis writes for an
// empty data set does not count, else a cluster that never held a key could not
// be started a second time from its seed. What cannot be read is Maybe.
func (h *Host) data(ref reconcile.RoleRef) reconcile.Presence {
	if ref.Kind == reconcile.KindSentinel {
		return reconcile.No
	}
	dir := h.roleDir(ref, "data")
	presence := reconcile.No
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		has, err := holdsData(path)
		if has {
			presence = reconcile.Yes
			return fs.SkipAll
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		h.log().Warn("look for data", "role", ref.Name, "error", err)
		return reconcile.Maybe
	}
	return presence
}

// holdsData knows the files of Redis by their content or name: RDB files of any
// name, AOF files by name. temp-*.rdb is what a save or a sync leaves when it is
// killed.
func holdsData(path string) (bool, error) {
	name := filepath.Base(path)
	if strings.HasPrefix(name, "temp-") || strings.HasSuffix(name, ".manifest") {
		return false, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer file.Close()
	r := bufio.NewReader(file)
	if magic, _ := r.Peek(5); string(magic) == "REDIS" {
		return rdbHasData(r), nil
	}
	info, err := file.Stat()
	if err != nil {
		return false, err
	}
	known := strings.HasSuffix(name, ".rdb") || strings.HasSuffix(name, ".aof")
	return known && info.Size() > 0, nil
}

// rdbHasData reads an RDB file up to its first opcode that is no auxiliary
// field. Opcodes and lengths are those of rdb.h. Whatever is not surely empty
// holds data.
func rdbHasData(r *bufio.Reader) bool {
	const header, aux, eof = len("REDIS0000"), 0xfa, 0xff
	if _, err := r.Discard(header); err != nil {
		return true
	}
	for {
		op, err := r.ReadByte()
		if err != nil || op != aux {
			return err != nil || op != eof
		}
		for range 2 { // name and value
			if skipString(r) != nil {
				return true
			}
		}
	}
}

// skipString skips a string with its length, or an integer in its place.
func skipString(r *bufio.Reader) error {
	first, err := r.ReadByte()
	if err != nil {
		return err
	}
	n := int(first & 0x3f)
	switch first >> 6 {
	case 0: // the length is in the six bits
	case 1:
		second, err := r.ReadByte()
		if err != nil {
			return err
		}
		n = n<<8 | int(second)
	case 3:
		if n > 2 { // compressed: no auxiliary field is that long
			return fmt.Errorf("read string: encoding %d", n)
		}
		n = 1 << n // 8, 16 or 32 bits
	default:
		return errors.New("read string: too long")
	}
	_, err = io.CopyN(io.Discard, r, int64(n))
	return err
}
