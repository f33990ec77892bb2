package bundle_test

import (
	"archive/zip"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sample-python-arm64-lambda/bundle"
)

// contents returns a zip's files by name, and their modes with them.
func contents(t *testing.T, file string) map[string]string {
	t.Helper()
	r, err := zip.OpenReader(file)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close() //nolint:errcheck // opened for reading
	all := map[string]string{}
	for _, f := range r.File {
		content, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(content) // checks the CRC
		if err != nil {
			t.Fatal(err)
		}
		all[f.Name] = f.Mode().String() + " " + string(data)
	}
	return all
}

// TestALayerAndItsFunctionAreTheBundle splits the sample into a layer and a function, and puts them together again.
func TestALayerAndItsFunctionAreTheBundle(t *testing.T) {
	dir, opts, spec := t.TempDir(), options(t), sample(t)
	whole, err := bundle.Build(t.Context(), spec, filepath.Join(dir, "whole.zip"), opts)
	if err != nil {
		t.Fatal(err)
	}
	deps, err := bundle.Resolve(t.Context(), spec, opts)
	if err != nil {
		t.Fatal(err)
	}
	layer, err := deps.Layer(t.Context(), filepath.Join(dir, "layer.zip"))
	if err != nil {
		t.Fatal(err)
	}
	spec.Layer = true
	function, err := deps.Bundle(t.Context(), spec, filepath.Join(dir, "function.zip"), opts)
	if err != nil {
		t.Fatal(err)
	}
	if function.UnzippedBytes != whole.UnzippedBytes || len(function.Packages) != len(whole.Packages) {
		t.Errorf("the quotas and packages are told of the function alone: %+v", function)
	}
	if function.ZippedBytes > 1000 || layer.ZippedBytes+function.ZippedBytes < whole.ZippedBytes {
		t.Errorf("got %d bytes of function and %d of layer, the bundle has %d", function.ZippedBytes, layer.ZippedBytes, whole.ZippedBytes)
	}
	together := contents(t, function.Path)
	for name, content := range contents(t, layer.Path) {
		inner, ok := strings.CutPrefix(name, "python/")
		if !ok || together[inner] != "" {
			t.Errorf("the layer has %q", name)
		}
		together[inner] = content
	}
	if !maps.Equal(together, contents(t, whole.Path)) {
		t.Error("layer and function are not the bundle")
	}
	again, err := deps.Layer(t.Context(), filepath.Join(dir, "again.zip"))
	if err != nil || again.SHA256 != layer.SHA256 {
		t.Errorf("the same layer: got %v %v, want %s", again, err, layer.SHA256)
	}
	if deps.Tag() == "" || deps.Empty() {
		t.Errorf("tag %q, empty %v", deps.Tag(), deps.Empty())
	}
}

func TestASourceThatHidesAPackageOfTheLayer(t *testing.T) {
	for _, name := range []string{"src/typing_extensions.py", "src/pydantic/more.py"} {
		spec := function(t, "typing-extensions==4.12.2\npydantic==2.10.5\n", map[string]string{name: "x = 1\n"})
		spec.Layer = true
		_, err := bundle.Build(t.Context(), spec, filepath.Join(t.TempDir(), "f.zip"), options(t))
		if err == nil || !strings.Contains(err.Error(), "which is in the layer") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	spec := function(t, "typing-extensions==4.12.2\n", map[string]string{"src/helpers/typing_extensions.py": "x = 1\n"})
	spec.Layer = true
	m, err := bundle.Build(t.Context(), spec, filepath.Join(t.TempDir(), "f.zip"), options(t))
	if err != nil {
		t.Fatal(err)
	}
	if got := slices.Sorted(maps.Keys(contents(t, m.Path))); len(got) != 2 {
		t.Errorf("got %q", got)
	}
}
