// Package sandbox runs Lambda deployment packages on this machine, as code of the architecture they are made for:
// an arm64 function is executed as arm64 instructions, by an arm64 Python, under emulation where the host is not arm64.
//
// A [Runtime] is such a Python, an [Instance] is one execution environment of one function, a [Pool] keeps instances warm.
// The C library is the runtime's, newer than Lambda's where it comes from Debian: what loads here may still be too new
// for Lambda, which is for the bundler's verification to say.
package sandbox

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/lockedfile"
)

// Options say where a runtime is kept and what it is made with.
type Options struct {
	Dir                 string       // folder that keeps the runtimes between runs
	UV                  string       // path of uv, which installs the runtime's Python packages
	RuntimeRequirements string       // path of the requirements file, with hashes, of those packages
	Progress            func(string) // told about each step that takes long; may be nil
}

func (o Options) say(line string) {
	if o.Progress != nil {
		o.Progress(line)
	}
}

// Runtime is a Python for one Lambda runtime and architecture: in a folder, or in a Docker image.
type Runtime struct {
	name   string // Lambda's name, such as python3.11
	arch   machine
	image  string // Docker image; empty where the runtime is in dir
	root   string // root file system of the architecture
	client string // folder of awslambdaric
	qemu   string // emulator; empty where the host runs the architecture itself
}

// machine is an architecture under its names.
type machine struct{ lambda, goarch, debian, triplet, docker, uv, qemu string }

var machines = []machine{
	{"arm64", "arm64", "arm64", "aarch64-linux-gnu", "linux/arm64", "aarch64-manylinux2014", "qemu-aarch64"},
	{"x86_64", "amd64", "amd64", "x86_64-linux-gnu", "linux/amd64", "x86_64-manylinux2014", "qemu-x86_64"},
}

// recipe is part of a runtime's key: raise it when the way a runtime is built changes.
const recipe = "1"

var runtimeName = regexp.MustCompile(`^python(3\.\d+)$`)

// Ensure returns the Python for a Lambda runtime ("python3.11") and architecture ("arm64" or "x86_64"). It is AWS's own image
// where Docker has it; else, on Debian and its like, built once from the distribution's packages into the options' folder,
// in some 20 s and 80 MB; else AWS's image, pulled. Where none of these can be had the error says what is missing.
// Several processes may call it at once: one builds and the others wait.
func Ensure(ctx context.Context, o Options, runtimeID, arch string) (*Runtime, error) {
	version := runtimeName.FindStringSubmatch(runtimeID)
	if version == nil {
		return nil, fmt.Errorf("providing runtime %q: want a Python runtime such as python3.11", runtimeID)
	}
	at := slices.IndexFunc(machines, func(m machine) bool { return m.lambda == arch })
	if at < 0 {
		return nil, fmt.Errorf("providing a runtime for architecture %q: want arm64 or x86_64", arch)
	}
	r := &Runtime{name: runtimeID, arch: machines[at]}
	image := "public.ecr.aws/lambda/python:" + version[1] + "-" + arch
	if r.useImage(ctx, image) == nil {
		return r, nil
	}
	noPackages := r.useDebian(ctx, o)
	if noPackages == nil {
		return r, nil
	}
	noPull := r.pullImage(ctx, o, image)
	if noPull == nil {
		return r, nil
	}
	return nil, fmt.Errorf("providing %s for %s: there is none on this machine (use Debian 12 with its package archive, or "+
		"a running Docker that has or can pull %s and can run %s):\n%w",
		runtimeID, arch, image, r.arch.docker, errors.Join(ctx.Err(), noPackages, noPull))
}

// useDebian points r to the root file system that the distribution's packages make, and builds it where it is missing.
func (r *Runtime) useDebian(ctx context.Context, o Options) error {
	requirements, err := os.ReadFile(o.RuntimeRequirements)
	if err != nil {
		return fmt.Errorf("reading the runtime's requirements: %w", err)
	}
	kept, err := filepath.Abs(o.Dir)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(kept, 0o755); err != nil {
		return err
	}
	key := sha256.Sum256(fmt.Appendf(requirements, "%s %s %s", recipe, r.name, r.arch.lambda))
	dir := filepath.Join(kept, fmt.Sprintf("lambda-%s-%s-%x", r.name, r.arch.lambda, key[:4]))
	unlock, err := lockedfile.MutexAt(dir + ".lock").Lock()
	if err != nil {
		return fmt.Errorf("locking %q: %w", dir, err)
	}
	defer unlock()
	if _, err := os.Stat(dir); err != nil {
		if err := r.build(ctx, o, dir); err != nil {
			return err
		}
	}
	return r.at(dir)
}

// build makes the runtime in a folder beside its final name and renames it, so that it is there complete or not at all.
func (r *Runtime) build(ctx context.Context, o Options, final string) (err error) {
	for _, tool := range []string{"apt-get", "apt-cache", "dpkg-deb"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("building %s from the distribution's packages: %w", r.name, err)
		}
	}
	o.say(fmt.Sprintf("providing %s for %s from the distribution's packages (once, about 20 s)", r.name, r.arch.lambda))
	tmp, err := os.MkdirTemp(filepath.Dir(final), "building-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	dir := filepath.Join(tmp, "runtime")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	if err := r.fetchPackages(ctx, tmp, dir); err != nil {
		return err
	}
	if err := r.installClient(ctx, o, dir); err != nil {
		return err
	}
	if err := r.at(dir); err != nil {
		return err
	}
	if err := r.compile(ctx); err != nil {
		return err
	}
	return os.Rename(dir, final)
}

// at points r to the runtime in a folder.
func (r *Runtime) at(dir string) error {
	r.root, r.client = filepath.Join(dir, "root"), filepath.Join(dir, "client")
	if runtime.GOOS == "linux" && runtime.GOARCH == r.arch.goarch {
		return nil
	}
	for _, name := range []string{r.arch.qemu + "-static", r.arch.qemu} {
		for _, path := range []string{name, filepath.Join(dir, name)} {
			if found, err := exec.LookPath(path); err == nil {
				r.qemu = found
				return nil
			}
		}
	}
	return fmt.Errorf("looking for %s-static: it is neither on PATH nor in %q (install qemu-user-static)", r.arch.qemu, dir)
}

// installClient installs awslambdaric, the client of the Runtime API that AWS's own images run.
func (r *Runtime) installClient(ctx context.Context, o Options, dir string) error {
	return run(ctx, o.UV, "pip", "install", "--quiet", "--target", filepath.Join(dir, "client"), "--python-platform", r.arch.uv,
		"--python-version", r.name[len("python"):], "--only-binary", ":all:", "--require-hashes", "--no-config", "-r", o.RuntimeRequirements)
}

// compile writes the standard library's byte code, without which each start would compile it under emulation: it takes
// 5 s once. Tests and desktop parts are left out.
func (r *Runtime) compile(ctx context.Context) error {
	command := append(r.python(), "-m", "compileall", "-q", "-j", "2", "-x", "/(test|tests|idlelib|lib2to3|tkinter|turtledemo|ensurepip)/",
		filepath.Join(r.root, "usr", "lib", r.name), r.client)
	return run(ctx, command[0], command[1:]...)
}

// python is the command that starts the interpreter of a runtime in a folder.
func (r *Runtime) python(libraries ...string) []string {
	binary := filepath.Join(r.root, "usr", "bin", r.name)
	if r.qemu != "" {
		return []string{r.qemu, "-L", r.root, binary}
	}
	// The root's own loader, as the host's may be of another C library; and the root's libraries before the host's.
	system := filepath.Join(r.root, "lib", r.arch.triplet)
	path := append([]string{system, filepath.Join(r.root, "usr", "lib", r.arch.triplet)}, libraries...)
	loader, _ := filepath.Glob(filepath.Join(system, "ld-linux-*.so.*")) //nolint:errcheck // the pattern is a constant
	return append(loader, "--inhibit-cache", "--library-path", strings.Join(path, ":"), binary)
}

// run runs a command to its end; the error carries what it printed.
func run(ctx context.Context, name string, args ...string) error {
	_, err := output(ctx, name, args...)
	return err
}

func output(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	printed, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("running %s: %w\n%s", filepath.Base(name), errors.Join(err, ctx.Err()), printed)
	}
	return string(printed), nil
}
