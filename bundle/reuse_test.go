package bundle_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"sample-python-arm64-lambda/bundle"
)

// The sample with one requirement changed, and another.
const (
	before = "annotated-types==0.7.0\npydantic==2.10.4\npydantic-core==2.27.2\ntyping-extensions==4.12.2\n"
	after  = "annotated-types==0.7.0\npydantic==2.10.5\npydantic-core==2.27.2\ntyping-extensions==4.12.2\n"
)

// slow returns the digest of the slow path: nothing cached, one core.
func slow(t *testing.T, spec bundle.Spec) string {
	t.Helper()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	return build(t, spec, options(t)).SHA256
}

func build(t *testing.T, spec bundle.Spec, opts bundle.Options) *bundle.Manifest {
	t.Helper()
	m, err := bundle.Build(t.Context(), spec, filepath.Join(t.TempDir(), "x.zip"), opts)
	if err != nil {
		t.Fatal(err)
	}
	if got := fileSum(t, m.Path); got != m.SHA256 {
		t.Fatalf("the file has digest %s, its manifest %s", got, m.SHA256)
	}
	return m
}

// reused says whether anything of the build was copied from an earlier entry.
func reused(opts *bundle.Options) *bool {
	var found bool
	opts.Progress = func(line string) { found = found || strings.Contains(line, "are deflated already") }
	return &found
}

// TestEveryWayGivesTheBytesOfTheSlowPath has all ways to a zip of the same inputs.
func TestEveryWayGivesTheBytesOfTheSlowPath(t *testing.T) {
	spec, opts := function(t, after, nil), options(t)
	want := slow(t, spec)
	same := func(what string, m *bundle.Manifest, cached bool) {
		t.Helper()
		if m.SHA256 != want || m.Cached != cached {
			t.Errorf("%s: got %s, cached %v; want %s, cached %v", what, m.SHA256, m.Cached, want, cached)
		}
	}
	same("cold", build(t, spec, opts), false)
	same("nothing changed", build(t, spec, opts), true)

	restored := options(t)
	if err := os.CopyFS(restored.CacheDir, os.DirFS(opts.CacheDir)); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(opts.CacheDir); err != nil {
		t.Fatal(err)
	}
	restored.UV = "no-such-uv"
	same("restored cache at another path", build(t, spec, restored), true)

	changed := options(t)
	build(t, function(t, before, nil), changed)
	found := reused(&changed)
	same("one requirement changed", build(t, spec, changed), false)
	if !*found {
		t.Error("one requirement changed: everything was deflated anew")
	}
	changed.Refresh = true
	same("refreshed", build(t, spec, changed), false)

	rewrite(t, filepath.Join(spec.Source, "main.py"), "def handler(event, context):\n    return 2\n")
	want = slow(t, spec)
	same("one line changed", build(t, spec, restored), true)
}

// TestADamagedEntryIsNotReused damages the earlier entry in each of its files.
func TestADamagedEntryIsNotReused(t *testing.T) {
	spec := function(t, after, nil)
	want := slow(t, spec)
	whole := options(t)
	build(t, function(t, before, nil), whole)
	for name, damage := range map[string]func([]byte) []byte{
		"deps.zip":  func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		"sums":      func(b []byte) []byte { slices.Reverse(b); return b },
		"meta.json": func(b []byte) []byte { return []byte(strings.Replace(string(b), `"format":`, `"format":9`, 1)) },
	} {
		t.Run(name, func(t *testing.T) {
			opts := options(t)
			if err := os.CopyFS(opts.CacheDir, os.DirFS(whole.CacheDir)); err != nil {
				t.Fatal(err)
			}
			file := only(t, filepath.Join(opts.CacheDir, "*", name))
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			rewrite(t, file, string(damage(data)))
			found := reused(&opts)
			if m := build(t, spec, opts); m.SHA256 != want || *found {
				t.Errorf("got %s, reused %v; want %s", m.SHA256, *found, want)
			}
		})
	}
}

func TestEntriesThatNobodyUsesAreRemoved(t *testing.T) {
	opts := options(t)
	one, two, three := function(t, "annotated-types==0.7.0\n", nil), function(t, "typing-extensions==4.12.2\n", nil), function(t, "six==1.17.0\n", nil)
	build(t, one, opts)
	meta := only(t, filepath.Join(opts.CacheDir, "*", "meta.json"))
	old := time.Now().Add(-29 * 24 * time.Hour)
	age := func() {
		t.Helper()
		if err := os.Chtimes(meta, old, old); err != nil {
			t.Fatal(err)
		}
	}
	age()
	build(t, two, opts)
	if m := build(t, one, opts); !m.Cached {
		t.Error("an entry of 29 days is gone")
	}
	if info, err := os.Stat(meta); err != nil || time.Since(info.ModTime()) > time.Hour {
		t.Errorf("its use is not noted: %v %v", info, err)
	}
	kept := filepath.Join(opts.CacheDir, "somebody's", "meta.json")
	if err := os.Mkdir(filepath.Dir(kept), 0o755); err != nil {
		t.Fatal(err)
	}
	rewrite(t, kept, "{}")
	old = time.Now().Add(-31 * 24 * time.Hour)
	age()
	if err := os.Chtimes(kept, old, old); err != nil {
		t.Fatal(err)
	}
	build(t, three, opts)
	if _, err := os.Stat(filepath.Dir(meta)); !os.IsNotExist(err) {
		t.Errorf("an entry of 31 days is still there: %v", err)
	}
	if _, err := os.Stat(kept); err != nil {
		t.Errorf("what is no entry is gone: %v", err)
	}
	if m := build(t, two, opts); !m.Cached {
		t.Error("an entry in use is gone")
	}
}

// only returns the one file of a pattern.
func only(t *testing.T, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) != 1 {
		t.Fatalf("%s: got %q, %v; want one file", pattern, files, err)
	}
	return files[0]
}

func fileSum(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(data))
}
