package bundle_test

import (
	"archive/zip"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sample-python-arm64-lambda/bundle"
	"sample-python-arm64-lambda/bundle/verify"
	"sample-python-arm64-lambda/internal/testtools"
)

// dockerBuild builds the context of spec, changed by change, and returns the image's ID.
func dockerBuild(t *testing.T, cli string, spec bundle.Spec, base, platform string, change func(dockerfile string) string) string {
	t.Helper()
	c, err := bundle.Stage(spec, filepath.Join(t.TempDir(), "context"), true, bundle.Options{CacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(c.Dir, "Dockerfile")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	rewrite(t, file, change(string(text)))
	args := []string{"build", "--quiet", "--network", "host", "--build-arg", "BASE=" + base}
	if platform != "" {
		args = append(args, "--platform", platform)
	}
	id, err := testtools.Run(t.Context(), cli, append(args, c.Dir)...)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func unchanged(dockerfile string) string { return dockerfile }

// TestBothBuildersGiveTheSameBytes is the parity that the design promises for trees of wheels.
func TestBothBuildersGiveTheSameBytes(t *testing.T) {
	cli := testtools.Docker(t)
	compiled := function(t, "numpy==1.26.4\ncryptography==44.0.0\norjson==3.10.15\nuvicorn==0.34.0\n", nil)
	for name, spec := range map[string]bundle.Spec{"the sample": sample(t), "compiled packages and console scripts": compiled} {
		t.Run(name, func(t *testing.T) {
			byWheels, byDocker := filepath.Join(t.TempDir(), "wheels.zip"), filepath.Join(t.TempDir(), "docker.zip")
			wheels, err := bundle.Build(t.Context(), spec, byWheels, options(t))
			if err != nil {
				t.Fatal(err)
			}
			spec.Image = dockerBuild(t, cli, spec, testtools.BaseImage("arm64"), "linux/arm64", unchanged)
			docker, err := bundle.Build(t.Context(), spec, byDocker, options(t))
			if err != nil {
				t.Fatal(err)
			}
			if wheels.SHA256 != docker.SHA256 {
				t.Errorf("wheels %s, docker %s; what differs:\n%s", wheels.SHA256, docker.SHA256, differences(t, byWheels, byDocker))
			}
			t.Logf("%d files, %s", wheels.Files, wheels.SHA256)
		})
	}
}

// differences lists the files that two zips do not have in common.
func differences(t *testing.T, a, b string) string {
	t.Helper()
	list := func(file string) map[string]string {
		r, err := zip.OpenReader(file)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close() //nolint:errcheck // opened for reading
		all := map[string]string{}
		for _, f := range r.File {
			all[f.Name] = fmt.Sprintf("%d bytes, CRC %08x, mode %v", f.UncompressedSize64, f.CRC32, f.Mode())
		}
		return all
	}
	inA, inB := list(a), list(b)
	var out strings.Builder
	for name, what := range inA {
		if inB[name] != what {
			fmt.Fprintf(&out, "  %s: wheels %s; docker %s\n", name, what, inB[name])
		}
	}
	for name := range inB {
		if inA[name] == "" {
			fmt.Fprintf(&out, "  %s: docker only\n", name)
		}
	}
	return out.String()
}

// TestTheArticlesConfigurationIsRefused builds as the article's stack did: in an image of the build host's architecture.
func TestTheArticlesConfigurationIsRefused(t *testing.T) {
	cli := testtools.Docker(t)
	base := testtools.BaseImage("x86_64")
	if _, err := testtools.Run(t.Context(), cli, "image", "inspect", base); err != nil {
		t.Skipf("the x86_64 build image is missing; make or pull it with tools/docker/base-image.sh python3.11 x86_64: %v", err)
	}
	t.Run("the platform is left out", func(t *testing.T) {
		spec := sample(t)
		spec.Image = dockerBuild(t, cli, spec, base, "", unchanged)
		_, err := bundle.Build(t.Context(), spec, filepath.Join(t.TempDir(), "x.zip"), options(t))
		if err == nil || !strings.Contains(err.Error(), "is for linux/amd64, want linux/arm64") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("the base image is for another architecture", func(t *testing.T) {
		spec := sample(t)
		spec.Image = dockerBuild(t, cli, spec, base, "linux/arm64", func(dockerfile string) string {
			return strings.Replace(dockerfile, "FROM ${BASE}", "FROM --platform=linux/amd64 ${BASE}", 1)
		})
		_, err := bundle.Build(t.Context(), spec, filepath.Join(t.TempDir(), "x.zip"), options(t))
		var bad *verify.Error
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), "x86-64") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("preflight sees the base image", func(t *testing.T) {
		spec := sample(t)
		spec.BaseImage = base
		c, err := bundle.Stage(spec, filepath.Join(t.TempDir(), "context"), false, bundle.Options{CacheDir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Preflight(t.Context(), "", nil); err == nil || !strings.Contains(err.Error(), "is for linux/amd64, want linux/arm64") {
			t.Errorf("got %v", err)
		}
	})
}

func TestAnImageThatIsNotThereIsToldWithACure(t *testing.T) {
	t.Setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
	host := testtools.Registry(t)
	for _, ref := range []string{"sha256:" + strings.Repeat("0", 64), host + "/none:1", host + "/none@sha256:" + strings.Repeat("0", 64), "not a reference"} {
		spec := sample(t)
		spec.Image = ref
		_, err := bundle.Build(t.Context(), spec, filepath.Join(t.TempDir(), "x.zip"), options(t))
		if err == nil || !strings.Contains(err.Error(), "cure:") || !strings.Contains(err.Error(), ref) {
			t.Errorf("%s: got %v", ref, err)
		}
	}
}

// TestTheStagedContextIsCanonical changes what does not matter, and what does.
func TestTheStagedContextIsCanonical(t *testing.T) {
	stage := func(requirements string) map[string]string {
		spec := function(t, requirements, nil)
		dir := filepath.Join(t.TempDir(), "context")
		if _, err := bundle.Stage(spec, dir, true, bundle.Options{CacheDir: t.TempDir()}); err != nil {
			t.Fatal(err)
		}
		all := map[string]string{}
		for _, name := range []string{"Dockerfile", "requirements.txt", "constraints.txt", "local/.keep"} {
			data, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			all[name] = string(data)
		}
		return all
	}
	one := stage("a==1\nb==2\n")
	if other := stage("# why\nb==2\n\na==1 # because\n"); fmt.Sprint(one) != fmt.Sprint(other) {
		t.Errorf("a comment and the order change the context:\n%q\n%q", one, other)
	}
	if other := stage("a==1\nb==3\n"); fmt.Sprint(one) == fmt.Sprint(other) {
		t.Error("another version does not change the context")
	}
}
