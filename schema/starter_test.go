package schema

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"cuelang.org/go/cue/cuecontext"
	"cuelang.org/go/cue/load"
)

// TestInit: the starter loads without a warning, CUE itself accepts it, and a
// second Init touches nothing.
func TestInit(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "spec")
	if err := Init(dir); err != nil {
		t.Fatal(err)
	}
	spec, problems := Load(t.Context(), dir, Limits{})
	if len(problems) > 0 || len(spec.Clusters) != 1 {
		t.Fatalf("got %+v %v", spec, problems)
	}
	if err := vet(t, dir); err != nil {
		t.Errorf("CUE itself says %v", err)
	}
	before := snapshot(t, dir)
	if err := Init(dir); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second Init says %v", err)
	}
	if after := snapshot(t, dir); !bytes.Equal(before, after) {
		t.Error("a second Init changed something")
	}
}

// TestVet: with the schema under cue.mod, CUE itself finds a misspelt field.
func TestVet(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := Init(dir); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "more.cue"), "package spec\n\nclusters: cache: redis: nodes: r1: prt: 1\n")
	if err := vet(t, dir); err == nil {
		t.Error("CUE accepts a misspelt field")
	}
}

// TestInitNothingHalf: with one file in the way, none is written.
func TestInitNothingHalf(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "cue.mod", "module.cue"), "mine\n")
	if err := Init(dir); !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v", err)
	}
	if got := string(snapshot(t, dir)); got != "cue.mod/module.cue mine\n" {
		t.Errorf("there is now\n%s", got)
	}
	file := filepath.Join(dir, "file")
	write(t, file, "")
	if err := Init(file); err == nil {
		t.Error("a file became a directory")
	}
}

// vet does what `cue vet .` does.
func vet(t *testing.T, dir string) error {
	t.Helper()
	instance := load.Instances([]string{"."}, &load.Config{Dir: dir, Env: []string{"CUE_REGISTRY=none"}})[0]
	if instance.Err != nil {
		return instance.Err
	}
	return cuecontext.New().BuildInstance(instance).Validate()
}

func snapshot(t *testing.T, dir string) []byte {
	t.Helper()
	var all []byte
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		all = append(append(all, name+" "...), content...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
