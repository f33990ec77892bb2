package verify_test

import (
	"os/exec"
	"strings"
	"testing"

	"sample-python-arm64-lambda/bundle/target"
	"sample-python-arm64-lambda/bundle/verify"
	"sample-python-arm64-lambda/internal/testtools"
)

// install installs a requirement for a platform as uv names it.
func install(t *testing.T, requirement, python, platform string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("it downloads packages; run it without -short")
	}
	dir := t.TempDir()
	uv := exec.CommandContext(t.Context(), testtools.UV(t), "pip", "install", "--quiet", "--no-config", "--target", dir, "--python-platform", platform,
		"--python-version", python, "--only-binary", ":all:", requirement)
	if out, err := uv.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}

// TestTheArticlesBugIsNamed verifies what pip installs on an x86_64 host.
func TestTheArticlesBugIsNamed(t *testing.T) {
	dir := install(t, "pydantic==2.10.5", "3.11", "x86_64-manylinux2014")
	report, err := verifyPath(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	if report.Err() == nil {
		t.Fatal("packages for x86_64 are accepted for arm64")
	}
	text := report.Err().Error()
	for _, want := range []string{
		"ELF-MACHINE  pydantic_core 2.27.2\n", "pydantic_core/_pydantic_core.cpython-311-x86_64-linux-gnu.so: got x86-64\n", "want: aarch64\n", "cure: install the wheel of pydantic_core 2.27.2",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the error does not say %q:\n%s", want, text)
		}
	}
	if err := scanPath(t, dir).Judge(mustParse(t, "python3.11", "x86_64"), verify.Options{}).Err(); err != nil {
		t.Errorf("packages for x86_64 are refused there: %v", err)
	}
}

// TestNumpyForANewerGlibc verifies numpy's wheels for manylinux_2_28, whose symbols are those of glibc 2.27.
func TestNumpyForANewerGlibc(t *testing.T) {
	report := scanPath(t, install(t, "numpy==2.4.6", "3.11", "aarch64-manylinux_2_28")).Judge(target.Default, verify.Options{})
	if err := report.Err(); err == nil || !strings.Contains(err.Error(), "GLIBC_2.27") || !strings.Contains(err.Error(), "GLIBC_2.26") {
		t.Errorf("python3.11: got %v", err)
	}
	report = scanPath(t, install(t, "numpy==2.4.6", "3.12", "aarch64-manylinux_2_28")).Judge(mustParse(t, "python3.12", "arm64"), verify.Options{})
	if err := report.Err(); err != nil {
		t.Errorf("python3.12: got %v", err)
	}
}

func scanPath(t *testing.T, path string) *verify.Facts {
	t.Helper()
	facts, _, err := verify.ScanPath(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return facts
}

func mustParse(t *testing.T, runtime, arch string) target.Target {
	t.Helper()
	parsed, err := target.Parse(runtime, arch)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}
