package testtools

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
)

// BaseImage returns the name of the build image that the docker build step starts from by default, or, for architecture
// x86_64, the one that it must not start from.
func BaseImage(arch string) string { return "public.ecr.aws/sam/build-python3.11:latest-" + arch }

// docker is whether this process can use Docker, found out once.
var docker = sync.OnceValues(func() (string, error) {
	ctx := context.Background()
	cli, err := FindDocker(ctx)
	if err != nil {
		return "", err
	}
	if _, err := Run(ctx, cli, "version", "--format", "{{.Server.Version}}"); err != nil {
		return "", fmt.Errorf("no Docker daemon answers; start one (tools/docker/daemon.sh): %w", err)
	}
	if _, err := Run(ctx, cli, "image", "inspect", BaseImage("arm64")); err != nil {
		return "", fmt.Errorf("the build image is missing; make or pull it with tools/docker/base-image.sh: %w", err)
	}
	if _, err := Run(ctx, cli, "run", "--rm", "--network=none", "--platform=linux/arm64", BaseImage("arm64"), "sh", "-c", "true"); err != nil {
		return "", fmt.Errorf("the Docker daemon cannot run arm64 programs; enable the emulation (tools/docker/daemon.sh): %w", err)
	}
	return cli, nil
})

// Docker returns the docker command of a daemon that runs arm64 programs and has the build image. Where there is none,
// the test is skipped with the reason and the cure; REQUIRE_DOCKER=1 makes that a failure.
func Docker(t testing.TB) string {
	t.Helper()
	cli, err := docker()
	switch {
	case err == nil:
	case os.Getenv("REQUIRE_DOCKER") != "":
		t.Fatal(err)
	default:
		t.Skip(err)
	}
	return cli
}

// FindDocker returns the first docker command on PATH that can build with BuildKit: one with the buildx plugin, or one
// from before version 23, which needs none (https://docs.docker.com/engine/release-notes/23.0/).
func FindDocker(ctx context.Context) (string, error) {
	err := errors.New("no docker command is on PATH; install Docker (tools/docker/daemon.sh does, on Debian)")
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		cli, lookErr := exec.LookPath(filepath.Join(dir, "docker"))
		if lookErr != nil {
			continue
		}
		if _, buildxErr := Run(ctx, cli, "buildx", "version"); buildxErr == nil {
			return cli, nil
		}
		printed, _ := Run(ctx, cli, "--version") // "Docker version 20.10.24+dfsg1, build …"
		number, _, _ := strings.Cut(strings.TrimPrefix(printed, "Docker version "), ".")
		if major, numberErr := strconv.Atoi(number); numberErr == nil && major < 23 {
			return cli, nil
		}
		err = fmt.Errorf("%s cannot build with BuildKit; install its buildx plugin", cli)
	}
	return "", err
}

// Run runs a docker command, with BuildKit, and returns what it printed on stdout, trimmed; the error holds its stderr.
func Run(ctx context.Context, cli string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, cli, args...) //nolint:gosec // tests run the docker command that they found
	// The default builder is the one that builds into the daemon's own store, and attestations would make an index of it.
	cmd.Env = append(os.Environ(), "DOCKER_BUILDKIT=1", "BUILDX_BUILDER=default", "BUILDX_NO_DEFAULT_ATTESTATIONS=1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("docker %s: %w: %s", strings.Join(args, " "), errors.Join(err, ctx.Err()), strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(string(out)), err
}

// Registry serves an empty container registry on a loopback port, which Docker and go-containerregistry speak plain HTTP
// to, and returns its host.
func Registry(t testing.TB) string {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// Guarded serves what another handler does to user "ci" with password "right" alone, and returns its host.
func Guarded(t testing.TB, behind http.Handler) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "ci" || password != "right" {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		behind.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// WrongBase returns a build image of the wrong architecture under a name that says nothing of it: BuildKit takes it for
// any platform, and an image built from it says arm64 and holds x86_64 binaries.
func WrongBase(t testing.TB) string {
	t.Helper()
	cli := Docker(t)
	if _, err := Run(t.Context(), cli, "image", "inspect", BaseImage("x86_64")); err != nil {
		t.Skipf("the x86_64 build image is missing; make or pull it with tools/docker/base-image.sh python3.11 x86_64: %v", err)
	}
	name := Registry(t) + "/build:latest"
	for _, args := range [][]string{{"tag", BaseImage("x86_64"), name}, {"push", "--quiet", name}, {"rmi", name}} {
		if _, err := Run(t.Context(), cli, args...); err != nil {
			t.Fatal(err)
		}
	}
	return name
}
