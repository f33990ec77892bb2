package main

import (
	"os/exec"
	"strings"
	"testing"
)

// TestWhoMayImportWhom holds the layering of docs/architecture.md over the imports of every package, tests left out.
func TestWhoMayImportWhom(t *testing.T) {
	const self = "sample-python-arm64-lambda"
	for _, rule := range []struct {
		packages string
		tags     string
		never    []string
	}{
		{"./bundle/...", "", []string{"github.com/pulumi/", "github.com/aws/", self + "/internal", self + "/pythonfunction"}},
		{"./cmd/...", "", []string{"github.com/pulumi/", self + "/internal", self + "/pythonfunction"}},
		{"./pythonfunction/...", "", []string{self + "/internal"}},
		{"./internal/stack/...", "", []string{self + "/internal/local", self + "/pythonfunction"}},
		{"./internal/local/...", "local", []string{self + "/bundle", self + "/pythonfunction", self + "/internal/stack"}},
		{".", "", []string{self + "/internal/local"}}, // the deployed binary links none of the local driver
	} {
		t.Run(rule.packages, func(t *testing.T) {
			out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-tags", rule.tags, rule.packages).CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			for dep := range strings.Lines(string(out)) {
				for _, never := range rule.never {
					if strings.HasPrefix(dep, never) {
						t.Errorf("%s may not import %s", rule.packages, strings.TrimSpace(dep))
					}
				}
			}
		})
	}
}
