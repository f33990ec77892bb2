package target_test

import (
	"strings"
	"testing"

	"sample-python-arm64-lambda/bundle/target"
)

func TestParseKnowsEveryTarget(t *testing.T) {
	for _, want := range target.All() {
		got, err := target.Parse(want.Runtime.Name, string(want.Arch))
		if err != nil || got != want {
			t.Errorf("%s: got %v, %v", want, got, err)
		}
	}
	if target.Default.String() != "python3.11 on arm64" {
		t.Errorf("the default is %s", target.Default)
	}
}

func TestParseNamesWhatIsAllowed(t *testing.T) {
	for _, c := range []struct{ runtime, arch, bad, allowed string }{
		{"python3.8", "arm64", `"python3.8"`, "python3.9, python3.10"}, {"python3.11", "aarch64", `"aarch64"`, "arm64, x86_64"}, {"", "", `""`, "python3.14"},
	} {
		if _, err := target.Parse(c.runtime, c.arch); err == nil || !strings.Contains(err.Error(), c.bad) || !strings.Contains(err.Error(), c.allowed) {
			t.Errorf("%s %s: got %v", c.runtime, c.arch, err)
		}
	}
}

func TestSpellings(t *testing.T) {
	x86, err := target.Parse("python3.12", "x86_64")
	if err != nil {
		t.Fatal(err)
	}
	for got, want := range map[string]string{
		target.Default.Machine(): "aarch64", x86.Machine(): "x86_64", target.Default.DockerPlatform(): "linux/arm64", x86.DockerPlatform(): "linux/amd64",
		target.Default.UVPlatform(): "aarch64-manylinux2014", x86.UVPlatform(): "x86_64-manylinux_2_34",
		target.Default.BuildImage(): "public.ecr.aws/sam/build-python3.11:latest-arm64",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestRuntimesHaveWhatTheyAreKnownToHaveAndToLack(t *testing.T) {
	for _, x := range target.All() {
		if got := x.Runtime.OS.NewestSymbol("GLIBC"); got != x.Runtime.OS.Glibc.String() {
			t.Errorf("%s: GLIBC is %s and %s", x, got, x.Runtime.OS.Glibc)
		}
		for library, want := range map[string]bool{
			"libc.so.6": true, "libstdc++.so.6": true, "libz.so.1": true, "libpython" + x.Runtime.Python + ".so.1.0": true, "libpython3.8.so.1.0": false,
			"ld-linux-aarch64.so.1": x.Arch == target.ARM64, "ld-linux-x86-64.so.2": x.Arch == target.X8664,
			"libGL.so.1": false, "libgomp.so.1": false, "libcrypt.so.1": false, "libexpat.so.1": false, "libcrypto.so.10": x.Runtime.OS == target.AmazonLinux2,
		} {
			if got := x.HasLibrary(library); got != want {
				t.Errorf("%s has %s: got %v, want %v", x, library, got, want)
			}
		}
	}
	if got := target.AmazonLinux2.NewestSymbol("GFORTRAN"); got != "" {
		t.Errorf("got %q of a library that the runtime lacks", got)
	}
}
