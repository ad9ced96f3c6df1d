package schema

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// Limits bound what an untrusted spec may cost. The zero value of each field
// means its default.
type Limits struct {
	// Files is how many CUE files a spec may have. Default 10,000.
	Files int `json:"files,omitempty"`
	// FileSize is in bytes, for each file. Default 1 MiB.
	FileSize int64 `json:"file_size,omitempty"`
	// Memory is in bytes, for the whole evaluating process. Default 1 GiB.
	// Only LoadIsolated holds it.
	Memory uint64 `json:"memory,omitempty"`
	// Seconds is how long the evaluation may take. Default 20. Only
	// LoadIsolated holds it.
	Seconds float64 `json:"seconds,omitempty"`
}

func (l Limits) withDefaults() Limits {
	if l.Files == 0 {
		l.Files = 10_000
	}
	if l.FileSize == 0 {
		l.FileSize = 1 << 20
	}
	if l.Memory == 0 {
		l.Memory = 1 << 30
	}
	if l.Seconds == 0 {
		l.Seconds = 20
	}
	return l
}

// file is one CUE file.
type file struct {
	// name is relative to the spec directory, with slashes.
	name    string
	content []byte
}

// files reads a spec's files and remembers them for the digest and for source
// lines in problems.
type files struct {
	store
	limits Limits
	// path is as the user gave it; dir is its place in the store: absolute on
	// disk, relative in a tree.
	path, dir string
	// hint is for a path without a spec.
	hint string
	// single is set when path is a file.
	single bool
	read   map[string]file
}

// open finds out what the path is.
func (f *files) open(limits Limits) *Problem {
	f.limits, f.read = limits, map[string]file{}
	mode, err := f.mode(f.dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &Problem{Code: CodePath, File: f.path, Message: "no such file or directory", Hint: f.hint}
	case err != nil:
		return &Problem{Code: CodePath, File: f.path, Message: reason(err)}
	case mode.IsDir():
		return nil
	case !mode.IsRegular() || filepath.Ext(f.path) != ".cue":
		return &Problem{Code: CodePath, File: f.path, Message: "this is neither a directory nor a .cue file"}
	}
	f.single, f.dir = true, filepath.Dir(f.dir)
	return nil
}

// reason is an error without the path that a Problem tells anyway.
func reason(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}

// base is the directory of this machine that paths in the spec are relative to,
// "" for a tree.
func (f *files) base() string {
	if filepath.IsAbs(f.dir) {
		return f.dir
	}
	return ""
}

// shown is the path of a file as the user would open it.
func (f *files) shown(name string) string {
	if f.single {
		return filepath.Join(filepath.Dir(f.path), filepath.FromSlash(name))
	}
	return filepath.Join(f.path, filepath.FromSlash(name))
}

// spec reads the files of the spec itself.
func (f *files) spec() ([]file, Problems) {
	if f.single {
		one, problem := f.one(filepath.Base(f.path))
		if problem != nil {
			return nil, Problems{*problem}
		}
		return []file{one}, nil
	}
	got, problems := f.in(".")
	if len(got) == 0 && !problems.Invalid() {
		problems = append(problems, Problem{
			Code: CodeEmpty, File: f.path, Message: "no CUE files in this directory",
			Hint: f.elsewhere(),
		})
	}
	return got, problems
}

// elsewhere tells where CUE files are when the directory itself has none.
func (f *files) elsewhere() string {
	_, dirs, _ := f.list(f.dir)
	for _, dir := range dirs {
		names, _, _ := f.list(filepath.Join(f.dir, dir))
		if slices.ContainsFunc(names, func(name string) bool { return filepath.Ext(name) == ".cue" }) {
			return "there are some in " + f.shown(dir) + ": give that path"
		}
	}
	return f.hint
}

// in reads the CUE files of a directory, relative to the spec directory, and
// warns of files that look as if they were part of it.
func (f *files) in(dir string) ([]file, Problems) {
	names, _, err := f.list(filepath.Join(f.dir, dir))
	if err != nil {
		return nil, Problems{{Code: CodePath, File: f.shown(dir), Message: reason(err)}}
	}
	var got []file
	var problems Problems
	for _, base := range names {
		name := filepath.ToSlash(filepath.Join(dir, base))
		if why := ignored(base); why != "" {
			problems = append(problems, Problem{Code: CodeIgnored, File: f.shown(name), Message: "this file is not read: " + why})
			continue
		}
		if filepath.Ext(base) != ".cue" {
			continue
		}
		if len(f.read) >= f.limits.Files {
			return nil, append(problems, Problem{Code: CodeTooBig, File: f.shown(dir), Message: fmt.Sprintf("more than %d CUE files", f.limits.Files)})
		}
		one, problem := f.one(name)
		if problem != nil {
			problems = append(problems, *problem)
			continue
		}
		got = append(got, one)
	}
	return got, problems
}

// ignored tells why CUE does not read a file that a user may take for a part
// of the spec; "" for files that are read and for unrelated ones.
func ignored(name string) string {
	switch filepath.Ext(name) {
	case ".yaml", ".yml", ".json", ".toml":
		return "a spec is made of .cue files"
	case ".cue":
	default:
		return ""
	}
	switch {
	case strings.HasPrefix(name, "_"), strings.HasPrefix(name, "."):
		return "its name begins with " + name[:1]
	case strings.HasSuffix(name, "_tool.cue"):
		return "*_tool.cue is for `cue cmd`"
	case strings.HasSuffix(name, "_test.cue"):
		return "*_test.cue is for tests"
	}
	return ""
}

// one reads one regular file within the size limit.
func (f *files) one(name string) (file, *Problem) {
	fail := func(code Code, message string) (file, *Problem) {
		return file{}, &Problem{Code: code, File: f.shown(name), Message: message}
	}
	content, err := f.content(filepath.Join(f.dir, filepath.FromSlash(name)), f.limits.FileSize+1)
	if err != nil {
		return fail(CodePath, reason(err))
	}
	if int64(len(content)) > f.limits.FileSize {
		return fail(CodeTooBig, fmt.Sprintf("larger than %d bytes", f.limits.FileSize))
	}
	got := file{name: name, content: content}
	f.read[name] = got
	return got, nil
}

// digest is the SHA-256 over names and contents of all files read.
func (f *files) digest() string {
	sum := sha256.New()
	for _, name := range f.names() {
		content := f.read[name].content
		fmt.Fprintf(sum, "%d %s %d\n", len(name), name, len(content))
		sum.Write(content)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

func (f *files) names() []string {
	names := make([]string, 0, len(f.read))
	for name := range f.read {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
