package verify_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sample-python-arm64-lambda/bundle/target"
	"sample-python-arm64-lambda/bundle/verify"
	"sample-python-arm64-lambda/internal/testtools"
)

// TestJSONFormat holds the documented form; a change of it needs another ReportSchema.
func TestJSONFormat(t *testing.T) {
	files := with(dist("p", native), map[string]string{"p/_x.cpython-310-aarch64-linux-gnu.so": aarch64()})
	report := scan(t, files).Judge(target.Default, verify.Options{ZippedBytes: 52_428_801})
	got := regexp.MustCompile(`("unzippedBytes"|"bytes"):\d+`).ReplaceAllString(asJSON(t, report), "$1:N")
	want := `{"schema":1,"runtime":"python3.11","architecture":"arm64","errors":[{"code":"ABI-TAG","file":"p/_x.cpython-310-aarch64-linux-gnu.so","package":"p","version":"1.0",` +
		`"got":"cpython-310-aarch64-linux-gnu","want":"cpython-311-aarch64-linux-gnu, abi3 or no tag","cure":"` + verify.Cures["ABI-TAG"] + `"}],` +
		`"remarks":[{"code":"SIZE-ZIPPED","got":"52428801 bytes","want":"at most 52428800 bytes for a direct upload","cure":"` + verify.Cures["SIZE-ZIPPED"] + `"}],` +
		`"waived":[],"files":3,"zippedBytes":52428801,"unzippedBytes":N,"packages":[{"name":"p","version":"1.0","files":3,"bytes":N}]}`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestEveryCodeIsExplained holds docs/verify.md against the codes that there are.
func TestEveryCodeIsExplained(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(testtools.Root(t), "docs", "verify.md"))
	if err != nil {
		t.Fatal(err)
	}
	explained := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if cell, _, ok := strings.Cut(strings.TrimPrefix(line, "| "), " | "); ok && strings.HasPrefix(line, "| `") {
			for _, code := range regexp.MustCompile("`([A-Z-]+)`").FindAllStringSubmatch(cell, -1) {
				explained[code[1]] = true
			}
		}
	}
	if got, want := slices.Sorted(maps.Keys(explained)), slices.Sorted(maps.Keys(verify.Cures)); !slices.Equal(got, want) {
		t.Errorf("docs/verify.md explains %q, and the codes are %q", got, want)
	}
}

func TestControlCharactersStayInTheBundle(t *testing.T) {
	evil := "\x1b[31m\u202eevil"
	report := judgeDefault(t, with(dist("p", "cp310-cp310-any"), map[string]string{
		evil + ".cpython-310-aarch64-linux-gnu.so": aarch64(), "p-1.0.dist-info/METADATA": "Name: " + evil + "\nVersion: " + evil + "\nRequires-Dist: q" + evil + "\n",
	}))
	for _, text := range []string{report.String(), report.Err().Error(), report.Errors[0].String()} {
		if strings.ContainsAny(text, "\x1b\u202e") {
			t.Errorf("got %q", text)
		}
	}
}
