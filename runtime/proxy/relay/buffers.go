package relay

// bufferSize is what one request or reply of a common size fits in.
const bufferSize = 16 << 10

// directWrite is how long a reply must be to be written at once, which costs a
// system call and saves a copy.
const directWrite = 4 << 10

// buffers are byte slices to be used again, so that a client that is idle holds
// none and a busy one costs no garbage.
type buffers struct{ free [][]byte }

// maxFree bounds what is kept for later: 16 MB.
const maxFree = 1024

func (p *buffers) get() []byte {
	if n := len(p.free); n > 0 {
		b := p.free[n-1]
		p.free = p.free[:n-1]
		return b
	}
	return make([]byte, 0, bufferSize)
}

// put takes a slice back. One that has grown is left to the garbage collector.
func (p *buffers) put(b []byte) {
	if cap(b) == bufferSize && len(p.free) < maxFree {
		p.free = append(p.free, b[:0])
	}
}
