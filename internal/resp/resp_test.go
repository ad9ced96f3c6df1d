package resp

import (
	"bufio"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
)

func TestRead(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in   string
		want any
		err  error
	}{
		{"+OK\r\n", "OK", nil},
		{"-ERR no\r\n", Error("ERR no"), nil},
		{":-7\r\n", int64(-7), nil},
		{"$4\r\na\r\nb\r\n", "a\r\nb", nil},
		{"$0\r\n\r\n", "", nil},
		{"$-1\r\n", nil, nil},
		{"*-1\r\n", nil, nil},
		{"*0\r\n", []any{}, nil},
		{"*2\r\n:1\r\n*1\r\n+a\r\n", []any{int64(1), []any{"a"}}, nil},
		{"hello\r\n", nil, ErrProtocol},
		{"\r\n", nil, ErrProtocol},
		{"+OK\n", nil, ErrProtocol},
		{":x\r\n", nil, ErrProtocol},
		{"$-2\r\n", nil, ErrProtocol},
		{"$99999999999\r\n", nil, ErrProtocol},
		{"$1\r\nabc", nil, ErrProtocol},
		{"$500000000\r\nabc", nil, io.ErrUnexpectedEOF},
		{"*2\r\n:1\r\n", nil, io.EOF},
		{strings.Repeat("*1\r\n", 40) + ":1\r\n", nil, ErrProtocol},
		{"", nil, io.EOF},
	} {
		got, err := Read(bufio.NewReader(strings.NewReader(tt.in)))
		if !errors.Is(err, tt.err) || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("Read(%q) = %#v, %v; want %#v, %v", tt.in, got, err, tt.want, tt.err)
		}
	}
}

func TestReadCommand(t *testing.T) {
	t.Parallel()
	wire := string(AppendCommand(nil, "SET", "", "a b\r\n"))
	got, err := ReadCommand(bufio.NewReader(strings.NewReader(wire)))
	if want := []string{"SET", "", "a b\r\n"}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	for _, bad := range []string{"*0\r\n", ":1\r\n", "*1\r\n:1\r\n", "*1\r\n$-1\r\n"} {
		if _, err := ReadCommand(bufio.NewReader(strings.NewReader(bad))); !errors.Is(err, ErrProtocol) {
			t.Errorf("ReadCommand(%q): %v, want ErrProtocol", bad, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("*2\r\n$1\r\na\r\n:1\r\n")
	f.Add("$-1\r\n")
	f.Fuzz(func(t *testing.T, in string) {
		_, _ = Read(bufio.NewReader(strings.NewReader(in))) // must end, without a panic
	})
}
