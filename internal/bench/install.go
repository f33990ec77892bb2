package main

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"sample-python-arm64-lambda/internal/testtools"
)

// once makes the folder name-DIGEST of what bench keeps, by build, unless it is there complete.
func (b *bench) once(name string, pinned []byte, build func(dir string) error) (string, error) {
	dir := filepath.Join(b.kept, fmt.Sprintf("%s-%x", name, sha256.Sum256(pinned))[:len(name)+1+8])
	complete := filepath.Join(dir, "complete")
	if _, err := os.Stat(complete); err == nil {
		return dir, nil
	}
	b.say("installing " + name + " into " + dir + " (once)")
	if err := errors.Join(removeAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
		return "", err
	}
	if err := build(dir); err != nil {
		return "", err
	}
	return dir, os.WriteFile(complete, nil, 0o644)
}

// venv installs tools/bench/NAME.txt, by hash, into a virtual environment of Python 3.11, and puts it first on PATH.
func venv(name string) func(*bench) ([]string, error) {
	return func(b *bench) ([]string, error) {
		file, err := filepath.Abs(filepath.Join(b.root, "tools", "bench", name+".txt"))
		if err != nil {
			return nil, err
		}
		pinned, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		dir, err := b.once(name, pinned, func(dir string) error {
			at := filepath.Join(dir, "venv")
			return commands(command{args: []string{b.uv, "venv", "-q", "--python", "3.11", at}},
				command{args: []string{b.uv, "pip", "install", "-q", "--python", at, "--require-hashes", "-r", file}})(b.do)
		})
		if err != nil {
			return nil, err
		}
		bin := "bin"
		if runtime.GOOS == "windows" {
			bin = "Scripts"
		}
		return b.onPath(filepath.Join(dir, "venv", bin)), nil
	}
}

// onPath returns the environment with folders before the bench's own PATH.
func (b *bench) onPath(dirs ...string) []string {
	path := ""
	for _, v := range b.env {
		if value, ok := strings.CutPrefix(v, "PATH="); ok {
			path = value
		}
	}
	return []string{"PATH=" + strings.Join(append(dirs, path), string(os.PathListSeparator))}
}

// modules installs tools/bench/package-lock.json.
func (b *bench) modules() (string, error) {
	for _, program := range []string{"node", "npm"} {
		if _, err := b.look(command{args: []string{program}}); err != nil {
			return "", fmt.Errorf("%w (install Node.js 20 or newer)", err)
		}
	}
	var files [2][]byte
	for i, name := range [2]string{"package.json", "package-lock.json"} {
		var err error
		if files[i], err = os.ReadFile(filepath.Join(b.root, "tools", "bench", name)); err != nil {
			return "", err
		}
	}
	var pinned struct{ Dependencies map[string]string }
	if err := json.Unmarshal(files[0], &pinned); err != nil {
		return "", err
	}
	for _, name := range []string{"aws-cdk-lib", "serverless-python-requirements"} { // what cdk and serverless load
		if found := [2]string{name, pinned.Dependencies[name]}; !slices.Contains(b.tools, found) {
			b.tools = append(b.tools, found)
		}
	}
	return b.once("node", slices.Concat(files[0], files[1]), func(dir string) error {
		return errors.Join(writeFile(filepath.Join(dir, "package.json"), string(files[0])), writeFile(filepath.Join(dir, "package-lock.json"), string(files[1])),
			b.do(command{dir: dir, args: []string{"npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"}}))
	})
}

// node puts what npm installed first on PATH, and after it pip's environment, which serverless calls.
func node(b *bench) ([]string, error) {
	dir, err := b.modules()
	if err != nil {
		return nil, err
	}
	env, err := venv("pip")(b)
	if err != nil {
		return nil, err
	}
	bin := filepath.Join(dir, "node_modules", ".bin")
	return []string{"PATH=" + bin + string(os.PathListSeparator) + strings.TrimPrefix(env[0], "PATH=")}, nil
}

// linkModules gives a folder the installed node_modules, where there are any: node looks for them beside what it runs.
func (b *bench) linkModules(dir string) error {
	found, err := filepath.Glob(filepath.Join(b.kept, "node-*", "complete"))
	if err != nil || len(found) == 0 {
		return err
	}
	err = os.Symlink(filepath.Join(filepath.Dir(found[len(found)-1]), "node_modules"), filepath.Join(dir, "node_modules"))
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// dockerOnly needs a daemon that has the build image; the CDK calls the same docker command.
func dockerOnly(b *bench) ([]string, error) {
	cli, err := testtools.FindDocker(b.ctx)
	if err != nil {
		return nil, err
	}
	version, err := testtools.Run(b.ctx, cli, "version", "--format", "{{.Server.Version}}")
	if err != nil {
		return nil, fmt.Errorf("no Docker daemon answers (make docker starts one): %w", err)
	}
	if _, err := testtools.Run(b.ctx, cli, "image", "inspect", testtools.BaseImage("arm64")); err != nil {
		return nil, fmt.Errorf("the build image is missing (make docker makes or pulls it): %w", err)
	}
	if known := [2]string{"Docker daemon", version}; !slices.Contains(b.tools, known) {
		b.tools = append(b.tools, known)
	}
	return []string{dockerVariable + cli}, nil
}

// dockerVariable names the docker command to the CDK.
const dockerVariable = "CDK_DOCKER="

// cdk needs node and Docker.
func cdk(b *bench) ([]string, error) {
	docker, err := dockerOnly(b)
	if err != nil {
		return nil, err
	}
	env, err := node(b)
	if err != nil {
		return nil, err
	}
	return append(env, docker...), nil
}

// reason is an error in one line of the report, without what is of this machine.
func (b *bench) reason(err error) string {
	var lines []string
	for line := range strings.Lines(err.Error()) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	if len(lines) > 3 { // the command, and how its output ends
		lines = append(lines[:1], lines[len(lines)-2:]...)
	}
	return strings.NewReplacer(b.kept, ".tools/bench", b.dir, "bench", "|", `\|`).Replace(strings.Join(lines, " … "))
}
