package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// apt reads the distribution's archive for one architecture with a state of its own: the host's package lists and
// database are neither read nor written, and no root is needed. Sources and keys are the host's.
type apt struct {
	dir     string
	options []string
}

func newApt(ctx context.Context, dir, arch string) (*apt, error) {
	for _, sub := range []string{"lists/partial", "archives/partial", "packages"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, err
		}
	}
	status := filepath.Join(dir, "status") // no package is installed
	if err := os.WriteFile(status, nil, 0o644); err != nil {
		return nil, err
	}
	a := &apt{dir: dir}
	for _, option := range []string{
		"APT::Architecture=" + arch, "APT::Architectures=" + arch, "APT::Sandbox::User=root",
		"Dir::State=" + dir, "Dir::State::status=" + status, "Dir::Cache=" + dir,
		"Acquire::Languages=none", "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
	} {
		a.options = append(a.options, "-o", option)
	}
	// A third party's source that has nothing for this architecture makes update fail and is none of our business: whether
	// the packages are there is seen when they are asked for.
	updated := run(ctx, "apt-get", append(a.options, "-q", "update")...)
	if err := run(ctx, "apt-cache", append(a.options, "show", "libc6")...); err != nil {
		return nil, fmt.Errorf("reading the archive's %s packages: %w", arch, errors.Join(updated, err))
	}
	return a, nil
}

// extract downloads packages and unpacks them into root.
func (a *apt) extract(ctx context.Context, root string, packages []string) error {
	debs, err := os.MkdirTemp(a.dir, "debs-")
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "apt-get", append(append(a.options, "-q", "download"), packages...)...)
	cmd.Dir = debs
	if printed, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("downloading packages: %w\n%s", errors.Join(err, ctx.Err()), printed)
	}
	files, err := filepath.Glob(filepath.Join(debs, "*.deb"))
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := run(ctx, "dpkg-deb", "-x", file, root); err != nil {
			return err
		}
	}
	return nil
}

// fetchPackages makes the root file system in dir: the interpreter, its standard library and every shared library they
// need. Programs that packages merely recommend in their maintainer scripts (perl, dpkg, tar) stay out.
func (r *Runtime) fetchPackages(ctx context.Context, tmp, dir string) error {
	archive, err := newApt(ctx, filepath.Join(tmp, "apt"), r.arch.debian)
	if err != nil {
		return err
	}
	depends, err := output(ctx, "apt-cache", append(archive.options, "depends", "--recurse", "--no-recommends", "--no-suggests",
		"--no-conflicts", "--no-breaks", "--no-replaces", "--no-enhances", r.name+"-minimal", "lib"+r.name+"-stdlib", "libstdc++6")...)
	if err != nil {
		return fmt.Errorf("looking for %s among this distribution's packages (Debian 12 has python3.11): %w", r.name, err)
	}
	packages := []string{r.name + "-minimal"}
	for line := range strings.Lines(depends) {
		name := strings.TrimRight(line, "\n") // dependencies are indented, virtual packages in angle brackets
		if strings.HasPrefix(name, "lib") && !strings.HasPrefix(name, "libperl") || strings.HasPrefix(name, "zlib1g") {
			packages = append(packages, name)
		}
	}
	root := filepath.Join(dir, "root")
	if err := archive.extract(ctx, root, packages); err != nil {
		return err
	}
	if _, err := os.Lstat(filepath.Join(root, "lib")); errors.Is(err, fs.ErrNotExist) { // from Debian 13 on all is in /usr
		if err := os.Symlink("usr/lib", filepath.Join(root, "lib")); err != nil {
			return err
		}
	}
	if r.at(dir) == nil {
		return nil
	}
	return r.fetchEmulator(ctx, tmp, dir)
}

// fetchEmulator puts the user-mode emulator for this host into dir. Its package is qemu-user from Debian 13 on, and holds
// an emulator for every architecture, 400 MB in all.
func (r *Runtime) fetchEmulator(ctx context.Context, tmp, dir string) error {
	archive, err := newApt(ctx, filepath.Join(tmp, "apt-host"), runtime.GOARCH)
	if err != nil {
		return err
	}
	for _, name := range []string{"qemu-user-static", "qemu-user"} {
		if err := archive.extract(ctx, tmp, []string{name}); err != nil {
			return err
		}
		for _, binary := range []string{r.arch.qemu + "-static", r.arch.qemu} {
			path, err := filepath.EvalSymlinks(filepath.Join(tmp, "usr", "bin", binary))
			if err == nil {
				return os.Rename(path, filepath.Join(dir, binary))
			}
		}
	}
	return fmt.Errorf("looking for %s in the packages qemu-user-static and qemu-user: it is not there", r.arch.qemu)
}
