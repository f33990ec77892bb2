package bundle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"sample-python-arm64-lambda/bundle/target"
)

// UVVersion is the version of uv that the project is tested with.
const UVVersion = "0.13.9"

// wheelsBuilder makes a dependency tree without Docker: uv installs wheels for the target, on any host.
type wheelsBuilder struct {
	uv     string // path or name of the uv executable
	target target.Target
	staged string // folder with the canonical requirements
	tree   string // folder that the packages go to
	hashed bool
}

// build installs the requirements. A package that has no wheel anywhere, and a local one, is built from source, which
// uv accepts only where the result is pure Python. It returns the normalised names of the packages built here.
func (w *wheelsBuilder) build(ctx context.Context) (builtHere []string, err error) {
	const rounds = 50 // uv names one package a time; a tree with more source distributions than this is not meant
	for range rounds {
		output, err := w.run(ctx, w.installArgs(builtHere)...)
		if err == nil {
			return builtHere, nil
		}
		name, err := w.nextFromSource(ctx, output, err)
		if err != nil {
			return nil, err
		}
		if slices.Contains(builtHere, name) {
			return nil, w.explain(output, errors.New("it was tried twice"))
		}
		builtHere = append(builtHere, name)
	}
	return nil, fmt.Errorf("installing requirements: more than %d packages without a wheel", rounds)
}

// nextFromSource returns the package that uv has no wheel for, where building it from source here can be right: a
// local one, or one that has no wheel for anybody.
func (w *wheelsBuilder) nextFromSource(ctx context.Context, output string, err error) (string, error) {
	if m := direct.FindStringSubmatch(output); m != nil {
		return projectName(m[1]), nil
	}
	m := unusable.FindStringSubmatch(output)
	if m == nil {
		return "", w.explain(output, err)
	}
	return projectName(m[1]), w.checkSdistOnly(ctx, m[1], output)
}

// installArgs is explicit about the target on every host, also where host and target are the same. Hard links to uv's
// cache are safe, because nothing is ever written into the tree, and save copying it; uv copies where it cannot link.
func (w *wheelsBuilder) installArgs(fromSource []string) []string {
	args := []string{
		"pip", "install", "--target", w.tree, "--requirement", requirementsName,
		"--python-platform", w.target.UVPlatform(), "--python-version", w.target.Runtime.Python,
		"--only-binary", ":all:", "--link-mode", "hardlink", "--no-compile-bytecode", "--no-python-downloads",
	}
	if w.hashed {
		args = append(args, "--require-hashes")
	}
	for _, name := range fromSource {
		args = append(args, "--no-binary", name)
	}
	return args
}

// run starts uv in the staged folder and returns what it wrote.
func (w *wheelsBuilder) run(ctx context.Context, args ...string) (string, error) {
	uv, err := exec.LookPath(w.uv)
	if err != nil {
		return "", &Error{What: "uv is not installed, and the wheels builder needs it", Cure: "install it (pip install uv==" + UVVersion + ") so that it is on PATH", Err: err}
	}
	cmd := exec.CommandContext(ctx, uv, args...)
	cmd.Dir = w.staged
	cmd.Env = append(os.Environ(), "NO_COLOR=1", "UV_NO_PROGRESS=1")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	err = cmd.Run()
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return output.String(), err
}

var (
	// unusable finds the requirement that uv has no wheel for: "docopt==0.6.2 has no usable wheels".
	unusable = regexp.MustCompile(`(?:all versions of )?([A-Za-z0-9][\w.-]*\S*) (?:has|have) no usable wheels`)
	// mismatch finds the one whose wheels are all for something else: "has no wheels with a matching platform tag".
	mismatch = regexp.MustCompile(`(?:all versions of )?([A-Za-z0-9][\w.-]*\S*) (?:has|have) no wheels with a matching`)
	hint     = regexp.MustCompile(`(?ms)^hint: (.*?)(?:\n\n|\z)`)
	// builtWheel finds the wheel that uv built and then refused: it is not pure Python.
	builtWheel = regexp.MustCompile("built wheel `([^`]+)` is not compatible")
	buildFails = regexp.MustCompile("(?:Failed to build|Failed to download and build|Failed to prepare) `([^`]+)`")
	// direct finds a package that is named by its place: a folder, or the URL of a source distribution.
	direct = regexp.MustCompile("attempted to build `([^`@ ]+)")
)

// checkSdistOnly asks the index, through uv and its configuration, which files a requirement has. uv's own error is
// the same for a package that has only a source distribution and for one whose wheels are for other platforms or
// Pythons; only the former may be built here, since of the latter the wheel exists because it compiles.
func (w *wheelsBuilder) checkSdistOnly(ctx context.Context, requirement, output string) error {
	query := filepath.Join(w.staged, "query.txt")
	defer os.Remove(query) //nolint:errcheck // in a folder that is removed with it
	if err := os.WriteFile(query, []byte(requirement+"\n"), 0o644); err != nil {
		return err
	}
	// The oldest Python that uv resolves for: else it leaves out wheels for older ones.
	lock, err := w.run(ctx, "pip", "compile", "query.txt", "--no-deps", "--universal", "--python-version", "3.7", "--format", "pylock.toml", "--no-python-downloads", "--quiet")
	if err != nil {
		lock, err = w.run(ctx, "pip", "compile", "query.txt", "--no-deps", "--universal", "--python-version", w.target.Runtime.Python, "--format", "pylock.toml", "--no-python-downloads", "--quiet")
	}
	if err != nil {
		return w.explain(output+"\n"+lock, err)
	}
	wheels := regexp.MustCompile(`[^/"]+\.whl`).FindAllString(lock, -1)
	if len(wheels) == 0 {
		return nil
	}
	shown := wheels[:min(3, len(wheels))]
	return &NoWheelError{Requirement: requirement, Target: w.target.String(), Detail: fmt.Sprintf("there are %d wheels for other platforms or Pythons, for instance %s", len(wheels), strings.Join(shown, ", "))}
}

// explain turns uv's words into an error with a cure.
func (w *wheelsBuilder) explain(output string, err error) error {
	var known *Error
	if errors.As(err, &known) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	said := errors.New(strings.TrimSpace(output))
	if m := mismatch.FindStringSubmatch(output); m != nil {
		detail := ""
		if h := hint.FindStringSubmatch(output); h != nil {
			detail = h[1]
		}
		return &NoWheelError{Requirement: m[1], Target: w.target.String(), Detail: detail}
	}
	if m := builtWheel.FindStringSubmatch(output); m != nil {
		requirement := m[1]
		if b := buildFails.FindStringSubmatch(output); b != nil {
			requirement = b[1]
		}
		return &NoWheelError{Requirement: requirement, Sdist: true, Target: w.target.String(), Detail: "it was built here as " + m[1]}
	}
	for _, c := range uvCures {
		if c.pattern.MatchString(output) {
			return &Error{What: c.what, Cure: c.cure, Err: said}
		}
	}
	if m := buildFails.FindStringSubmatch(output); m != nil {
		return &NoWheelError{Requirement: m[1], Sdist: true, Target: w.target.String(), Detail: strings.ReplaceAll(strings.TrimSpace(output), "\n", "\n    ")}
	}
	return &Error{What: fmt.Sprintf("uv did not install the requirements (%v)", err), Cure: "uv's message tells why", Err: said}
}

// uvCures maps what uv says to what a person should do.
var uvCures = []struct {
	pattern    *regexp.Regexp
	what, cure string
}{
	{regexp.MustCompile(`Hash mismatch`),
		"a downloaded package is not the one that its hash in the requirements names",
		"if the requirement was meant to change, write its new hash; if not, the index serves another file than before: find out why"},
	{regexp.MustCompile(`(?i)no interpreter found|No Python|no virtual or system environment|python downloads are|interpreter.* not found`),
		"uv needs a Python on this host (of any version 3), and there is none",
		"install Python 3, or let uv do it: uv python install"},
	{regexp.MustCompile(`error sending request|Request failed after|Could not connect|dns error|operation timed out|timed out`),
		"the package index cannot be reached",
		"check the network and the index URL (UV_INDEX_URL, --index-url, uv.toml); behind a proxy set HTTPS_PROXY"},
	{regexp.MustCompile(`401 Unauthorized|403 Forbidden`),
		"the package index refuses the credentials",
		"set them for uv: in the index URL, in UV_INDEX_*_USERNAME and _PASSWORD, or in ~/.netrc"},
	{regexp.MustCompile(`was not found in the (?:package registry|provided package locations)`),
		"a required package does not exist in the index",
		"check its name, and that its index is configured"},
	{regexp.MustCompile(`there is no version of|only .* is available|are available`),
		"a required version does not exist",
		"choose one that the index has"},
	{regexp.MustCompile(`(?i)In .--require-hashes. mode`),
		"the requirements have hashes, but not everywhere",
		"write hashes for all of them, transitive ones too: uv pip compile --generate-hashes"},
	{regexp.MustCompile(`No space left on device|os error 28`),
		"the disk is full", "free space in the cache folder and in uv's own (uv cache prune)"},
	{regexp.MustCompile(`Couldn't parse requirement|Unexpected '|Expected `),
		"the requirements file has a line that is not a requirement",
		"correct the line (PEP 508)"},
	{regexp.MustCompile(`requirements are unsatisfiable`),
		"the requirements contradict each other",
		"loosen one of them"},
}
