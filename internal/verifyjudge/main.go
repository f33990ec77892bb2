// Command verifyjudge holds package verify against independent judges, on real packages from the index.
//
//	go run ./internal/verifyjudge wheels    every ELF file of wheels.txt as readelf and auditwheel read it
//	go run ./internal/verifyjudge sets      popular packages, installed for the target in sets, and whether any is refused
//	go run ./internal/verifyjudge loads     imports, as arm64 code, of what was accepted and of what was refused
//	go run ./internal/verifyjudge speed     the time of a large bundle against that of unzip
//
// Each but the last writes its table into the folder results. Downloads are kept in LOCAL_TOOLS_DIR (.tools), so that a second run
// asks the index for nothing but what was added.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"

	"sample-python-arm64-lambda/internal/local/tools"
)

const folder = "internal/verifyjudge" // of this command, from the repository's root

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "verifyjudge:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	commands := map[string]func(context.Context, *judge) error{"wheels": wheels, "sets": sets, "loads": loads, "speed": speed}
	if len(args) != 1 || commands[args[0]] == nil {
		return errors.New("usage: verifyjudge wheels|sets|loads|speed, from the repository's root")
	}
	j, err := prepare(ctx)
	if err != nil {
		return err
	}
	return commands[args[0]](ctx, j)
}

// judge has the tools that the commands share.
type judge struct {
	tools  string // the folder where tools and downloads are kept
	python string // with auditwheel and pip
	uv     string
}

func prepare(ctx context.Context) (*judge, error) {
	j := &judge{tools: os.Getenv("LOCAL_TOOLS_DIR")}
	if j.tools == "" {
		j.tools = ".tools"
	}
	say := func(line string) { fmt.Fprintln(os.Stderr, "==>", line) }
	var err error
	if j.python, err = tools.EnsureVenv(ctx, j.tools, filepath.Join(folder, "requirements.txt"), say); err != nil {
		return nil, err
	}
	shared, err := tools.EnsureVenv(ctx, j.tools, "tools/requirements.txt", say)
	if err != nil {
		return nil, err
	}
	j.uv = tools.UV(shared)
	return j, nil
}

// lines reads a list: a line each, without comments.
func lines(file string) ([]string, error) {
	text, err := os.ReadFile(filepath.Join(folder, file))
	if err != nil {
		return nil, err
	}
	var all []string
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line != "" {
			all = append(all, line)
		}
	}
	return all, nil
}

// output runs a command and returns what it prints; the error has what it printed besides.
func output(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var trouble strings.Builder
	cmd.Stderr = &trouble
	text, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("running %s %s: %w\n%s", filepath.Base(name), strings.Join(args, " "), errors.Join(err, ctx.Err()), strings.TrimSpace(trouble.String()))
	}
	return string(text), nil
}

// write replaces a table of results.
func write(name string, table []string) error {
	if err := os.MkdirAll(filepath.Join(folder, "results"), 0o755); err != nil {
		return err
	}
	file := filepath.Join(folder, "results", name)
	if err := os.WriteFile(file+".new", []byte(strings.Join(table, "\n")+"\n"), 0o644); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}
