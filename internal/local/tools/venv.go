// Package tools provides the command-line tools that local runs need, in a folder that is kept between runs.
package tools

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"github.com/rogpeppe/go-internal/lockedfile"
)

// EnsureVenv returns the interpreter of a virtual environment with exactly the packages that a requirements file names
// with their hashes. It is made once in dir for each content of the file, complete or not at all; several processes may
// call it at once. It needs a Python 3 with the venv module on PATH.
func EnsureVenv(ctx context.Context, dir, requirementsFile string, progress func(string)) (python string, err error) {
	text, err := os.ReadFile(requirementsFile)
	if err != nil {
		return "", fmt.Errorf("reading the tools' requirements: %w", err)
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	venv := filepath.Join(dir, fmt.Sprintf("venv-%x", sha256.Sum256(text))[:len("venv-")+8])
	unlock, err := lockedfile.MutexAt(venv + ".lock").Lock()
	if err != nil {
		return "", fmt.Errorf("locking %q: %w", venv, err)
	}
	defer unlock()
	if _, err := os.Stat(venv); err == nil {
		return venvPython(venv), nil
	}
	progress("installing " + filepath.Base(requirementsFile) + " into " + venv + " (once, about 30 s)")
	return venvPython(venv), buildVenv(ctx, venv, requirementsFile)
}

// UV is the path of uv beside a virtual environment's interpreter.
func UV(python string) string { return filepath.Join(filepath.Dir(python), "uv"+exeSuffix()) }

// buildVenv works beside the final name and renames. The interpreter and native programs of a virtual environment stand
// a rename; scripts of its bin folder, which nothing here uses, do not.
func buildVenv(ctx context.Context, venv, requirementsFile string) (err error) {
	tmp, err := os.MkdirTemp(filepath.Dir(venv), "building-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	host, err := hostPython()
	if err != nil {
		return err
	}
	built := filepath.Join(tmp, "venv")
	if output, err := exec.CommandContext(ctx, host, "-m", "venv", built).CombinedOutput(); err != nil {
		return fmt.Errorf("making a virtual environment with %s (Debian has the venv module in package python3-venv): %w\n%s",
			host, errors.Join(err, ctx.Err()), tail(string(output), 20))
	}
	install := exec.CommandContext(ctx, venvPython(built), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
		"--no-input", "--require-hashes", "-r", requirementsFile)
	if output, err := install.CombinedOutput(); err != nil {
		return fmt.Errorf("installing %q: %w\n%s", requirementsFile, errors.Join(err, ctx.Err()), tail(string(output), 20))
	}
	return os.Rename(built, venv)
}

// hostPython is the Python 3 on PATH.
func hostPython() (string, error) {
	for _, name := range []string{"python3", "python"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("looking for Python: there is no python3 on PATH (install Python 3)")
}

func venvPython(venv string) string {
	if runtime.GOOS == "windows" {
		return filepath.Join(venv, "Scripts", "python.exe")
	}
	return filepath.Join(venv, "bin", "python3")
}
