package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"sample-python-arm64-lambda/bundle"
	"sample-python-arm64-lambda/bundle/target"
	"sample-python-arm64-lambda/bundle/verify"
	"sample-python-arm64-lambda/internal/testtools"
)

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestAFindingIsToldWhereItCameFrom asks the real uv which requirement needs a package.
func TestAFindingIsToldWhereItCameFrom(t *testing.T) {
	t.Setenv("PATH", filepath.Dir(testtools.UV(t))+string(os.PathListSeparator)+os.Getenv("PATH"))
	t.Chdir(t.TempDir())
	write(t, "requirements.txt", "# the function's\n-r more/web.txt\n\nPydantic == 2.10.5 ; python_version > '3'\n./libs/Here\nlibs/there-1.0-py3-none-any.whl\n")
	write(t, "more/web.txt", "--index-url https://example.com\nuvicorn[standard]==0.34.0\n")
	write(t, "libs/Here/pyproject.toml", "[project]\nname = \"over_here\"\n")
	write(t, "libs/there-1.0-py3-none-any.whl", "")
	lines := requirementLines("requirements.txt")
	for name, want := range map[string]place{
		"pydantic": {"requirements.txt", 4}, "uvicorn": {filepath.Join("more", "web.txt"), 2}, "over-here": {"requirements.txt", 5}, "there": {"requirements.txt", 6},
	} {
		if lines[name] != want {
			t.Errorf("%s: got %v, want %v", name, lines[name], want)
		}
	}

	write(t, "requirements.txt", "# the function's\n-r more/web.txt\npydantic==2.10.5\n")
	write(t, "more/web.txt", "uvicorn==0.34.0\n")
	lambda, err := target.Parse("python3.11", "arm64")
	if err != nil {
		t.Fatal(err)
	}
	c := &ci{ctx: t.Context(), env: os.Getenv, stdout: os.Stdout, stderr: os.Stderr}
	s := &settings{spec: bundle.Spec{Requirements: "requirements.txt", Target: lambda}}
	for name, want := range map[string]place{
		"pydantic_core": {"requirements.txt", 3}, "typing_extensions": {"requirements.txt", 3}, "h11": {filepath.Join("more", "web.txt"), 1}, "unheard-of": {"requirements.txt", 1},
	} {
		if got := c.cause(s, name); got != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}

func TestAnAnnotationIsOneLine(t *testing.T) {
	var out bytes.Buffer
	c := &ci{stdout: &out}
	c.annotate("error", place{"a,b:c.txt", 3}, "50%", "first\nsecond, 100%: done")
	want := "::error file=a%2Cb%3Ac.txt,line=3,title=50%25::first%0Asecond, 100%25: done\n"
	if out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestAChangeAffectsTheStacksThatHaveIt(t *testing.T) {
	t.Chdir(testtools.Root(t))
	for changed, want := range map[string][]string{
		"src/main.py": {"dev", "prod", "staging"}, "src/README.md": {"dev", "prod", "staging"}, "pythonfunction/role.go": {"dev", "prod", "staging"},
		"Pulumi.yaml": {"dev", "prod", "staging"}, "Pulumi.prod.yaml": {"prod"}, "Pulumi.local.yaml": nil,
		"Pulumi.prod.yaml go.mod": {"dev", "prod", "staging"}, "Pulumi.dev.yaml docs/ci.md": {"dev"},
		"README.md": nil, ".github/workflows/ci.yml": nil, "main_test.go": nil, "internal/local/local.go": nil,
	} {
		got, err := affected(strings.Fields(changed))
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %q, %v, want %q", changed, got, err, want)
		}
	}
}

// A file that left a source folder is changed there.
func TestAMovedFileIsChangedAtBothPlaces(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	w := &world{t: t, dir: dir}
	w.git(dir, "init", "--quiet")
	w.write("src/old name.py", strings.Repeat("VALUE = 1\n", 20))
	w.commit("first")
	w.shell(`mkdir docs && git mv "src/old name.py" docs/moved.py`)
	w.commit("moved")
	c := &ci{ctx: t.Context(), stderr: io.Discard}
	got, err := c.changed()
	if want := []string{"docs/moved.py", "src/old name.py"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func TestAVerifiedBundleTellsWhatWasFound(t *testing.T) {
	m := &bundle.Manifest{Runtime: "python3.11", Architecture: "arm64", Files: 3, Packages: make([]verify.Package, 2)}
	const counts = "Verified for python3.11 on arm64: files 3, packages 2; errors 0, "
	if got, want := verified(m), counts+"waived 0, remarks 0\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	m.Waived = []verify.Finding{{Code: "ONE", Got: "a"}}
	m.Remarks = []verify.Finding{{Code: "TWO", Got: "b"}}
	if got, want := verified(m), counts+"waived 1, remarks 1\n\n```\nwaived: ONE: got a\nTWO: got b\n```\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWhatSeveralStacksHaveInCommonIsToldOnce(t *testing.T) {
	preview := func(stack, table, diff string) string {
		return fmt.Sprintf(previewHead, code(stack)) + table + "\n" + bundleHead + "\n\n" + diff
	}
	got := merged([]string{preview("a", "one\n", "x\n"), preview("b", "two\n", "x\n"), preview("c", "one\n", "x\n"), fmt.Sprintf(previewHead, code("d")) + "Nothing changes.\n"})
	want := "\n#### Stack `a`, `c`\n\none\n\n#### Stack `b`\n\ntwo\n\n#### Stack `d`\n\nNothing changes.\n\n#### Bundle of `a`, `b`, `c`\n\nx\n"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestATextIsCutToWhatGitHubTakes(t *testing.T) {
	const end = "\n[The log](https://github.example)\n"
	if got := cut("short", end); got != "short"+end {
		t.Errorf("got %q", got)
	}
	long := "head\n```\n" + strings.Repeat("line ✏️\n", 10_000)
	got := cut(long, end)
	if n := utf8.RuneCountInString(got); n > maxBody || n < maxBody-200 || !strings.HasSuffix(got, "line ✏️\n```\n\nThe rest is in the log.\n"+end) {
		t.Errorf("%d characters, ending in %q", n, got[len(got)-100:])
	}
}
