package tools

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
)

// cliPackage is the Pulumi CLI's main package, and versionVar the variable that the linker sets to its version;
// without it the Automation API cannot read the version and refuses the CLI.
const (
	cliPackage = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
	versionVar = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version"
)

// EnsurePulumi returns a folder that has bin/pulumi: the one on PATH, else one built once into dir from the version
// that modules, a folder with a go.mod, pins. Building takes some minutes; progress is told so.
func EnsurePulumi(ctx context.Context, dir, modules string, progress func(string)) (root string, err error) {
	if onPath, err := exec.LookPath("pulumi"); err == nil {
		if binary, err := filepath.EvalSymlinks(onPath); err == nil && filepath.Base(filepath.Dir(binary)) == "bin" {
			return filepath.Dir(filepath.Dir(binary)), nil
		}
	}
	version, err := pinnedVersion(filepath.Join(modules, "go.mod"))
	if err != nil {
		return "", err
	}
	root, err = filepath.Abs(filepath.Join(dir, "pulumi-"+version))
	if err != nil {
		return "", err
	}
	binary := filepath.Join(root, "bin", "pulumi"+exeSuffix())
	if _, err := os.Stat(binary); err == nil {
		return root, nil
	}
	progress("building the Pulumi CLI " + version + " (no pulumi on PATH; once, about 6 minutes on 2 cores)")
	return root, buildCLI(ctx, modules, version, binary)
}

// buildCLI builds beside the final name and renames, so that a killed build leaves nothing that looks finished.
func buildCLI(ctx context.Context, modules, version, binary string) error {
	if err := os.MkdirAll(filepath.Dir(binary), 0o755); err != nil {
		return err
	}
	partial := fmt.Sprintf("%s.%d", binary, os.Getpid())
	defer os.Remove(partial) //nolint:errcheck // gone after the rename
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w -X "+versionVar+"="+version, "-o", partial, cliPackage)
	cmd.Dir = modules
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly")
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building the Pulumi CLI: %w\n%s", errors.Join(err, ctx.Err()), tail(string(output), 20))
	}
	return os.Rename(partial, binary)
}

// pinnedVersion reads the CLI's version from a go.mod.
func pinnedVersion(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("reading the pinned version of the Pulumi CLI: %w", err)
	}
	m := regexp.MustCompile(`(?m)^\s*(?:require )?github\.com/pulumi/pulumi/pkg/v3 (v\S+)`).FindSubmatch(text)
	if m == nil {
		return "", fmt.Errorf("reading %q: it does not require github.com/pulumi/pulumi/pkg/v3", file)
	}
	return string(m[1]), nil
}

func exeSuffix() string {
	if runtime.GOOS == "windows" {
		return ".exe"
	}
	return ""
}

// tail returns the last n lines of s.
func tail(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
