package frame

import (
	"bytes"
	"strconv"
)

// inline looks at a request that is one line.
func inline(b []byte) (Request, error) {
	end := bytes.IndexByte(b, '\n')
	switch {
	case end < 0 && len(b) > MaxLine:
		return Request{}, Error("too big inline request")
	case end < 0:
		return Request{Need: len(b) + 1, Inline: true}, nil
	}
	return Request{Size: end + 1, Need: end + 1, Inline: true}, nil
}

// SplitInline splits a line into arguments by the rules of sdssplitargs of
// redis-server: blanks separate, double quotes know \n \r \t \b \a \xHH and
// \anything, single quotes know \'. The error is for quotes that do not end, or
// end inside a word.
func SplitInline(line []byte) ([][]byte, error) {
	line = bytes.TrimRight(line, "\r\n")
	var args [][]byte
	for {
		for len(line) > 0 && blank(line[0]) {
			line = line[1:]
		}
		if len(line) == 0 {
			return args, nil
		}
		arg, rest, ok := inlineWord(line)
		if !ok {
			return nil, Error("unbalanced quotes in request")
		}
		args, line = append(args, arg), rest
	}
}

// inlineWord takes one word from the start of a line.
func inlineWord(line []byte) (word, rest []byte, ok bool) {
	word = []byte{}
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case blank(c) || c == 0:
			return word, line[i+1:], true
		case c == '"' || c == '\'':
			quoted, size := quotedWord(line[i:])
			end := i + size
			if size == 0 || end < len(line) && !blank(line[end]) {
				return nil, nil, false
			}
			return append(word, quoted...), line[end:], true
		default:
			word = append(word, c)
		}
	}
	return word, nil, true
}

// quotedWord reads from an opening quote to the closing one; size 0 means that
// there is none.
func quotedWord(b []byte) (word []byte, size int) {
	quote := b[0]
	for i := 1; i < len(b); i++ {
		c := b[i]
		switch {
		case c == quote:
			return word, i + 1
		case c != '\\' || i+1 == len(b):
			word = append(word, c)
		case quote == '\'' && b[i+1] == '\'':
			word, i = append(word, '\''), i+1
		case quote == '\'':
			word = append(word, c)
		case b[i+1] == 'x' && i+3 < len(b) && hex(b[i+2:i+4]) >= 0:
			word, i = append(word, byte(hex(b[i+2:i+4]))), i+3
		default:
			word, i = append(word, escaped(b[i+1])), i+1
		}
	}
	return nil, 0
}

func hex(digits []byte) int {
	n, err := strconv.ParseUint(string(digits), 16, 8)
	if err != nil {
		return -1
	}
	return int(n)
}

func escaped(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'b':
		return '\b'
	case 'a':
		return '\a'
	}
	return c
}

func blank(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// Append appends a request as an array of bulks.
func Append(b []byte, args ...[]byte) []byte {
	b = append(b, '*')
	b = strconv.AppendInt(b, int64(len(args)), 10)
	b = append(b, '\r', '\n')
	for _, arg := range args {
		b = AppendBulk(b, arg)
	}
	return b
}

// AppendBulk appends one bulk.
func AppendBulk(b, bulk []byte) []byte {
	b = append(b, '$')
	b = strconv.AppendInt(b, int64(len(bulk)), 10)
	b = append(b, '\r', '\n')
	b = append(b, bulk...)
	return append(b, '\r', '\n')
}

// Args returns the arguments of a complete request that is an array, in place.
func Args(request []byte) [][]byte {
	count, pos, err := number(request, 0, "", "")
	if err != nil || count <= 0 {
		return nil
	}
	var args [][]byte
	for range count {
		end, start, err := bulk(request, pos)
		if err != nil || end == 0 || end > len(request) {
			return args
		}
		args, pos = append(args, request[start:end-2]), end
	}
	return args
}
