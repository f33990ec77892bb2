// Package testtools gives tests the project's pinned tools.
package testtools

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"sample-python-arm64-lambda/internal/local/tools"
)

// Root returns the checkout's folder.
func Root(t testing.TB) string {
	t.Helper()
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		t.Fatal("the test binary has no source paths")
	}
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}

// Dir returns the folder of the tools: LOCAL_TOOLS_DIR, else .tools in the checkout.
func Dir(t testing.TB) string {
	t.Helper()
	if dir := os.Getenv("LOCAL_TOOLS_DIR"); dir != "" {
		return dir
	}
	return filepath.Join(Root(t), ".tools")
}

// UV returns the pinned uv, which it installs where it is missing.
func UV(t testing.TB) string {
	t.Helper()
	return filepath.Join(filepath.Dir(Python(t)), "uv")
}

// Python returns the interpreter of the tools' environment (uv, moto), which it makes where it is missing.
func Python(t testing.TB) string {
	t.Helper()
	python, err := tools.EnsureVenv(t.Context(), Dir(t), filepath.Join(Root(t), "tools", "requirements.txt"), func(line string) { t.Log(line) })
	if err != nil {
		t.Fatal(err)
	}
	return python
}
