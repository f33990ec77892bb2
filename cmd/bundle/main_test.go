package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sample-python-arm64-lambda/bundle"
)

// runIn runs the command in a folder with a function without dependencies.
func runIn(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"requirements.txt": "", "src/main.py": "def handler(event, context):\n    return 1\n"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	t.Setenv("BUNDLE_CACHE_DIR", filepath.Join(dir, "cache"))
	var out, errs bytes.Buffer
	code = run(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestExitCodes(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"done":                        {[]string{"build"}, 0, "dist/bundle.zip sha256:"},
		"help":                        {[]string{"help"}, 0, "usage: bundle COMMAND"},
		"help of a command":           {[]string{"build", "-h"}, 0, "-requirements FILE"},
		"a bad build":                 {[]string{"build", "-handler", "other.handler"}, 1, `no module "other"`},
		"a waived finding":            {[]string{"build", "-handler", "other.handler", "-ignore", "HANDLER:*"}, 0, "waived: "},
		"a waiver of no code":         {[]string{"build", "-ignore", "NONE:*"}, 2, "docs/verify.md"},
		"requirements missing":        {[]string{"build", "-requirements", "none.txt"}, 1, "does not exist"},
		"no command":                  {nil, 2, "usage: bundle COMMAND"},
		"an unknown command":          {[]string{"biuld"}, 2, `unknown command "biuld"`},
		"an unknown flag":             {[]string{"build", "-nope"}, 2, "-nope"},
		"an argument too much":        {[]string{"build", "x"}, 2, "got 1 arguments, want 0"},
		"an unknown runtime":          {[]string{"build", "-runtime", "python2.7"}, 2, "want one of python3.9"},
		"an unknown builder":          {[]string{"build", "-builder", "pip"}, 2, "want auto or wheels"},
		"nothing to verify":           {[]string{"verify"}, 2, "got 0 arguments, want 1"},
		"a missing zip to verify":     {[]string{"verify", "none.zip"}, 1, "none.zip"},
		"a missing zip to inspect":    {[]string{"inspect", "none.zip"}, 1, "none.zip"},
		"a context":                   {[]string{"context", "ctx"}, 0, "--platform linux/arm64"},
		"a context in a taken folder": {[]string{"context", "src"}, 1, "is not empty"},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := runIn(t, c.args...)
			if code != c.code || !strings.Contains(stdout+stderr, c.says) {
				t.Errorf("exit %d, want %d\nstdout: %s\nstderr: %s\nwant %q", code, c.code, stdout, stderr, c.says)
			}
		})
	}
}

func TestBuildVerifyInspect(t *testing.T) {
	code, stdout, stderr := runIn(t, "build", "-json")
	if code != 0 {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	var m bundle.Manifest
	if err := json.Unmarshal([]byte(stdout), &m); err != nil {
		t.Fatalf("%v in %s", err, stdout)
	}
	if m.Schema != bundle.ManifestSchema || m.Files != 1 || len(m.SHA256) != 64 || m.Runtime != "python3.11" || m.Architecture != "arm64" {
		t.Errorf("got %+v", m)
	}
	for _, args := range [][]string{{"verify", "-handler", "main.handler", m.Path}, {"inspect", m.Path}} {
		var out, errs bytes.Buffer
		if code := run(t.Context(), args, &out, &errs); code != 0 || !strings.Contains(out.String(), "fits") {
			t.Errorf("%q: exit %d\n%s%s", args, code, &out, &errs)
		}
	}
}
