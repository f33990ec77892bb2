package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"sample-python-arm64-lambda/bundle"
	"sample-python-arm64-lambda/bundle/target"
	"sample-python-arm64-lambda/bundle/verify"
)

// targetFlags are the flags that name a target.
type targetFlags struct{ runtime, arch string }

func (t *targetFlags) add(flags *flag.FlagSet) {
	flags.StringVar(&t.runtime, "runtime", target.Default.Runtime.Name, "Lambda runtime: "+strings.Join(target.RuntimeNames(), ", "))
	flags.StringVar(&t.arch, "arch", string(target.Default.Arch), "Lambda architecture: arm64, x86_64")
}

// parse returns the target; a wrong name is wrong usage.
func (t *targetFlags) parse(stderr io.Writer) (target.Target, error) {
	parsed, err := target.Parse(t.runtime, t.arch)
	if err != nil {
		fmt.Fprintln(stderr, "bundle:", err)
		return parsed, errUsage
	}
	return parsed, nil
}

// globs is a flag that can be given many times.
type globs []string

func (g *globs) String() string     { return strings.Join(*g, " ") }
func (g *globs) Set(s string) error { *g = append(*g, s); return nil }

func build(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var (
		spec    bundle.Spec
		opts    bundle.Options
		t       targetFlags
		exclude globs
		ignore  waivers
	)
	flags := flag.NewFlagSet("build", flag.ContinueOnError)
	flags.StringVar(&spec.Requirements, "requirements", "requirements.txt", "requirements `FILE`")
	flags.StringVar(&spec.Source, "source", "src", "`FOLDER` whose content is laid over the dependencies")
	flags.StringVar(&spec.Handler, "handler", "main.handler", "Lambda handler, MODULE.FUNCTION")
	t.add(flags)
	builder := flags.String("builder", "auto", "how dependencies are made: auto, wheels")
	flags.StringVar(&spec.Image, "image", "", "take the dependencies from this image (`REF` in the local daemon or a registry) instead of a builder")
	flags.Var(&exclude, "exclude", "`GLOB` of source files to leave out; can be given many times")
	flags.Var(&ignore, "ignore", "waive findings, `CODE:GLOB` (docs/verify.md); can be given many times")
	flags.StringVar(&opts.CacheDir, "cache", bundle.DefaultCacheDir(), "`FOLDER` that keeps dependency trees between builds (BUNDLE_CACHE_DIR)")
	flags.BoolVar(&opts.Refresh, "refresh", false, "make the dependencies anew, asking the index again")
	out := flags.String("o", "dist/bundle.zip", "zip `FILE` to write")
	asJSON := flags.Bool("json", false, "print the manifest as JSON")
	if _, err := parse(flags, args, stderr); err != nil {
		return err
	}
	var err error
	if spec.Target, err = t.parse(stderr); err != nil {
		return err
	}
	spec.Builder, spec.Exclude, opts.Ignore = bundle.Builder(*builder), exclude, ignore
	if spec.Builder != bundle.Auto && spec.Builder != bundle.Wheels {
		fmt.Fprintf(stderr, "bundle build: builder %q is not known: want auto or wheels\n", *builder)
		return errUsage
	}
	if isTerminal(stderr) {
		opts.Progress = func(line string) { fmt.Fprintln(stderr, line) }
	}
	m, err := bundle.Build(ctx, spec, *out, opts)
	if err != nil {
		return err
	}
	if *asJSON {
		return printJSON(stdout, m)
	}
	printRemarks(stderr, m)
	_, err = fmt.Fprintln(stdout, summary(m))
	return err
}

// summary is the one line that build prints.
func summary(m *bundle.Manifest) string {
	how := "built"
	if m.Cached {
		how = "cached"
	}
	return fmt.Sprintf("%s sha256:%s %s zipped, %s unzipped, %d packages, %.2f s, %s",
		m.Path, m.SHA256, megabytes(m.ZippedBytes), megabytes(m.UnzippedBytes), len(m.Packages), m.Seconds, how)
}

// waivers is the flag -ignore, which can be given many times.
type waivers []verify.Waiver

func (w *waivers) String() string { return fmt.Sprint(*w) }

func (w *waivers) Set(s string) error {
	waiver, err := verify.ParseWaiver(s)
	*w = append(*w, waiver)
	return err
}

func printRemarks(w io.Writer, m *bundle.Manifest) {
	for _, f := range m.Waived {
		fmt.Fprintln(w, "waived:", f)
	}
	for _, r := range m.Remarks {
		fmt.Fprintln(w, "remark:", r)
	}
	for _, n := range m.Notes {
		fmt.Fprintln(w, "note:", n)
	}
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// isTerminal says whether somebody watches w.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
