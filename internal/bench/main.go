// Command bench measures the bundler against what it replaces, in one run, and writes docs/benchmarks.md: medians, and
// ratios to "uv pip install and zip -6" of the same run. Peers are installed, pinned, into LOCAL_TOOLS_DIR/bench.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"sample-python-arm64-lambda/internal/local/tools"
)

// bench is one run of the benchmark.
type bench struct {
	ctx     context.Context
	runs    int           // of each case of ours and of the baseline
	budget  time.Duration // of one case of a peer: no further run is begun after it
	peers   string        // what the names of measured peers have in them
	dir     string        // everything that is measured happens below it
	kept    string        // where installed peers stay
	root    string        // the repository
	bundle  string        // the built command
	uv      string
	env     []string
	results []result
	limits  []limit
	program programShare
	tools   [][2]string // names and versions for the report
}

// result is a row: a case of a workload, done by a tool, or the reason why it was not.
type result struct {
	workload, tool, scenario string
	runs                     int
	median                   sample
	zip                      int64 // bytes of the zip
	reason                   string
}

// The cases. Downloaded packages are in uv's and pip's caches in all but the first.
const (
	nothingDownloaded = "cold, nothing downloaded"
	cold              = "cold"
	cacheWarm         = "dependency cache warm"
	lineChanged       = "one line changed"
	pinChanged        = "one requirement changed"
	unchanged         = "nothing changed"
	freshRunner       = "fresh runner, restored cache"
)

func main() {
	b := &bench{root: "."}
	quick := flag.Bool("quick", false, "one run of the sample, without peers")
	flag.StringVar(&b.peers, "peers", "", "measure only peers whose name has `TEXT` in it; none for ours and uv + zip alone")
	only := flag.String("workload", "", "measure only this workload (`NAME`)")
	profiles := flag.String("profile", "", "instead of measuring, write CPU and memory profiles of a cold build of data into `DIR`")
	functions := flag.Int("functions", 0, "instead of measuring, bundle so many functions of the folder that is the argument")
	flag.IntVar(&b.runs, "runs", 5, "runs of each case; the median counts")
	flag.DurationVar(&b.budget, "peer-budget", 12*time.Second, "begin no further run of a peer's case after this time")
	out := flag.String("o", "docs/benchmarks.md", "`FILE` to write")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	b.ctx = ctx
	var err error
	switch {
	case *functions > 0:
		err = bundleMany(ctx, flag.Arg(0), *functions)
	case *profiles != "":
		err = b.with(func() error { return b.profile(*profiles) })
	case *quick:
		b.runs, b.peers = 1, "none"
		err = b.with(func() error { return b.write(*out, b.measureWorkload(workloads[0])) })
	default:
		err = b.with(func() error { return b.write(*out, b.measureAll(*only)) })
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// with runs do between making what all measurements need and removing it.
func (b *bench) with(do func() error) (err error) {
	if b.dir, err = os.MkdirTemp("", "bench"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, removeAll(b.dir)) }()
	kept := os.Getenv("LOCAL_TOOLS_DIR")
	if kept == "" {
		kept = filepath.Join(b.root, ".tools")
	}
	if b.kept, err = filepath.Abs(filepath.Join(kept, "bench")); err != nil {
		return err
	}
	python, err := tools.EnsureVenv(b.ctx, kept, filepath.Join(b.root, "tools", "requirements.txt"), b.say)
	if err != nil {
		return err
	}
	b.uv, b.bundle = tools.UV(python), filepath.Join(b.dir, "bundle")
	b.env = environment(filepath.Dir(b.uv))
	if err := b.do(command{dir: b.root, args: []string{"go", "build", "-o", b.bundle, "./cmd/bundle"}}); err != nil {
		return err
	}
	b.version("uv", command{args: []string{b.uv, "--version"}})
	b.version("zip (Info-ZIP)", command{args: []string{"zip", "-v"}})
	return do()
}

// environment is what commands run in: this process's without what would make two machines measure different things.
func environment(first string) []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "PIP_FIND_LINKS=") && !strings.HasPrefix(v, "PULUMI_") {
			env = append(env, v)
		}
	}
	return append(env, "PATH="+first+string(os.PathListSeparator)+os.Getenv("PATH"),
		"NO_COLOR=1", "CI=1", "AWS_DEFAULT_REGION=us-east-1", "AWS_ACCESS_KEY_ID=none", "AWS_SECRET_ACCESS_KEY=none",
		"SAM_CLI_TELEMETRY=0", "SLS_TELEMETRY_DISABLED=1", "SLS_NOTIFICATIONS_MODE=off", "CDK_DISABLE_VERSION_CHECK=1",
		"DOCKER_BUILDKIT=1", "BUILDX_BUILDER=default", "PIP_DISABLE_PIP_VERSION_CHECK=1", "PIP_ROOT_USER_ACTION=ignore")
}

// measureAll measures every workload, many functions, and the program.
func (b *bench) measureAll(only string) error {
	for _, w := range workloads {
		if only != "" && only != w.name {
			continue
		}
		if err := b.measureWorkload(w); err != nil {
			return err
		}
	}
	if only == "" || only == "many" {
		if err := b.measureMany(); err != nil {
			return fmt.Errorf("measuring many: %w", err)
		}
	}
	if only == "" || only == "program" {
		b.measureProgram()
	}
	return nil
}

// measureWorkload measures the baseline, ours, the limits and the peers on one workload.
func (b *bench) measureWorkload(w workload) error {
	dir := filepath.Join(b.dir, w.name)
	for _, measure := range []func(workload, string) error{b.measureBaseline, b.measureOurs, b.measureLimits} {
		if err := measure(w, dir); err != nil {
			return fmt.Errorf("measuring %s: %w", w.name, err)
		}
	}
	b.measurePeers(w, dir)
	return removeAll(dir)
}

// write writes the report, unless measuring failed.
func (b *bench) write(file string, err error) error {
	if err != nil {
		return err
	}
	return os.WriteFile(file, []byte(b.report()), 0o644)
}

func (b *bench) say(line string) { fmt.Fprintf(os.Stderr, "==> %s\n", line) }

// number is the first thing in a text that looks like a version.
var number = regexp.MustCompile(`\d+\.\d+[\w.+-]*`)

// version notes what a tool says its version is, once.
func (b *bench) version(name string, c command) {
	out, err := b.exec(c).CombinedOutput()
	found := [2]string{name, number.FindString(string(out))}
	if err == nil && !slices.Contains(b.tools, found) { // else the row of the tool says what is wrong with it
		b.tools = append(b.tools, found)
	}
}
