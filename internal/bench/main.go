// Command bench measures the bundler against what it replaces, in one run, and writes docs/benchmarks.md: medians, and
// ratios to "uv pip install and zip" of the same run.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"sample-python-arm64-lambda/internal/local/tools"
	"sample-python-arm64-lambda/internal/testtools"
)

// workload is a function to bundle.
type workload struct {
	name         string
	requirements string
	docker       bool // measured with the docker builder too
}

var workloads = []workload{
	{"sample", "annotated-types==0.7.0\npydantic==2.10.5\npydantic-core==2.27.2\ntyping-extensions==4.12.2\n", true},
	{"data", "numpy==1.26.4\npandas==2.2.3\npyarrow==17.0.0\n", false},
	{"web", "fastapi==0.115.6\nsqlalchemy==2.0.36\nboto3==1.35.90\npydantic==2.10.5\n", false},
}

// target is what every tool is asked for.
var target = []string{"--python-platform", "aarch64-manylinux2014", "--python-version", "3.11", "--only-binary", ":all:"}

// bench is one run.
type bench struct {
	ctx              context.Context
	runs             int
	dir, bundle, uv  string
	docker, noDocker string // the docker command, or why there is none
	rows             []string
}

// a step is run before and not measured, or measured.
type step struct {
	dir  string
	args []string
}

func main() {
	runs := flag.Int("runs", 5, "runs of each case; the median counts")
	out := flag.String("o", "docs/benchmarks.md", "`FILE` to write")
	flag.Parse()
	if err := run(context.Background(), *runs, *out); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, runs int, out string) error {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	kept := os.Getenv("LOCAL_TOOLS_DIR")
	if kept == "" {
		kept = ".tools"
	}
	python, err := tools.EnsureVenv(ctx, kept, filepath.Join("tools", "requirements.txt"), func(s string) { fmt.Println(s) })
	if err != nil {
		return err
	}
	b := &bench{ctx: ctx, runs: runs, dir: dir, bundle: filepath.Join(dir, "bundle"), uv: tools.UV(python)}
	if err := os.Setenv("PATH", filepath.Dir(python)+string(os.PathListSeparator)+os.Getenv("PATH")); err != nil {
		return err
	}
	if b.docker, err = testtools.FindDocker(ctx); err == nil {
		_, err = testtools.Run(ctx, b.docker, "image", "inspect", testtools.BaseImage("arm64"))
	}
	if err != nil {
		b.noDocker = err.Error()
	}
	if err := b.do(step{"", []string{"go", "build", "-o", b.bundle, "./cmd/bundle"}}); err != nil {
		return err
	}
	for _, w := range workloads {
		if err := b.measure(w); err != nil {
			return fmt.Errorf("workload %s: %w", w.name, err)
		}
	}
	return os.WriteFile(out, []byte(b.report()), 0o644)
}

// do runs a command to its end.
func (b *bench) do(s step) error {
	cmd := exec.CommandContext(b.ctx, s.args[0], s.args[1:]...)
	cmd.Dir, cmd.Env = s.dir, append(os.Environ(), "DOCKER_BUILDKIT=1", "BUILDX_BUILDER=default")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(s.args, " "), err, out)
	}
	return nil
}

// median runs steps so many times, prepare before each, and returns the middle duration and the biggest memory in MB.
func (b *bench) median(prepare func() error, steps ...step) (time.Duration, int64, error) {
	var all []time.Duration
	var memory int64
	for range b.runs {
		if err := prepare(); err != nil {
			return 0, 0, err
		}
		start := time.Now()
		for _, s := range steps {
			cmd := exec.CommandContext(b.ctx, s.args[0], s.args[1:]...)
			cmd.Dir, cmd.Env = s.dir, append(os.Environ(), "DOCKER_BUILDKIT=1", "BUILDX_BUILDER=default")
			if out, err := cmd.CombinedOutput(); err != nil {
				return 0, 0, fmt.Errorf("%s: %w\n%s", strings.Join(s.args, " "), err, out)
			}
			memory = max(memory, peakMemory(cmd.ProcessState))
		}
		all = append(all, time.Since(start))
	}
	slices.Sort(all)
	return all[len(all)/2], memory, nil
}

// measure adds the rows of one workload.
func (b *bench) measure(w workload) error {
	fmt.Println("measuring", w.name)
	dir := filepath.Join(b.dir, w.name)
	if err := os.MkdirAll(filepath.Join(dir, "src"), 0o755); err != nil {
		return err
	}
	source := filepath.Join(dir, "src", "main.py")
	for file, text := range map[string]string{filepath.Join(dir, "requirements.txt"): w.requirements, source: "def handler(event, context):\n    return 1\n"} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return err
		}
	}
	gone := func(names ...string) func() error {
		return func() error {
			for _, name := range names {
				if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
					return err
				}
			}
			return nil
		}
	}
	install := append([]string{b.uv, "pip", "install", "--target", "tree", "--link-mode", "copy", "-r", "requirements.txt"}, target...)
	zip := step{filepath.Join(dir, "tree"), []string{"zip", "-6", "-q", "-r", "../baseline.zip", "."}}
	build := step{dir, []string{b.bundle, "build", "-cache", "cache"}}
	if err := b.do(build); err != nil { // fills uv's cache of downloads, which both use
		return err
	}
	baseline, _, err := b.median(gone("tree", "baseline.zip"), step{dir, install}, step{dir, []string{"cp", "-r", "src/.", "tree"}}, zip)
	if err != nil {
		return err
	}
	row := func(what string, d time.Duration, memory int64) {
		peak := "–"
		if memory > 0 {
			peak = fmt.Sprintf("%d MB", memory)
		}
		b.rows = append(b.rows, fmt.Sprintf("| %s | %s | %.3f s | %.3f | %s |", w.name, what, d.Seconds(), d.Seconds()/baseline.Seconds(), peak))
	}
	row("uv pip install and zip -6", baseline, 0)
	changes := 0
	for _, c := range []struct {
		what    string
		prepare func() error
	}{
		{"bundle build, cold (no dependency tree in the cache)", gone("cache", "dist")},
		{"bundle build, nothing changed", gone()},
		{"bundle build, one line of src changed", func() error {
			changes++
			return os.WriteFile(source, fmt.Appendf(nil, "def handler(event, context):\n    return %d\n", changes), 0o644)
		}},
	} {
		d, memory, err := b.median(c.prepare, build)
		if err != nil {
			return err
		}
		row(c.what, d, memory)
	}
	if !w.docker || b.noDocker != "" {
		return nil
	}
	if err := b.do(step{dir, []string{b.bundle, "context", "context"}}); err != nil {
		return err
	}
	image := []string{b.docker, "build", "-q", "--platform", "linux/arm64", "-t", "bench:deps", "context"}
	bundle := step{dir, []string{b.bundle, "build", "-cache", "cache", "-image", "bench:deps"}}
	cold, _, err := b.median(gone("cache"), step{dir, slices.Insert(slices.Clone(image), 2, "--no-cache")}, bundle)
	if err != nil {
		return err
	}
	row("docker build, cold (no layers), and bundle build -image", cold, 0)
	cached, _, err := b.median(gone("cache"), step{dir, image}, bundle)
	row("docker build, layers cached, and bundle build -image", cached, 0)
	return err
}

// report writes the table.
func (b *bench) report() string {
	docker := ""
	if b.noDocker != "" {
		docker = "\nNo docker rows: " + b.noDocker + "\n"
	}
	return fmt.Sprintf(`# Benchmarks

Written by %[1]smake bench%[1]s on %[2]s: medians of %[3]d runs, ratios to "uv pip install and zip -6" of the same workload in the
same run, uv's cache of downloads warm for both. Target: python3.11 on arm64. Machine: %[4]s/%[5]s, %[6]d cores, %[7]s; the
docker rows run arm64 code under emulation there. Peak memory is that of the biggest process.

| workload | case | median | ratio | peak memory |
|---|---|---|---|---|
%[8]s
%[9]s`, "`", time.Now().UTC().Format("2006-01-02"), b.runs, runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version(), strings.Join(b.rows, "\n"), docker)
}
