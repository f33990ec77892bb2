package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sample-python-arm64-lambda/bundle/target"
	"sample-python-arm64-lambda/bundle/verify"
	"sample-python-arm64-lambda/internal/local/sandbox"
)

// importer is a function that imports the modules it is told, {name: file}, and says what became of each that could not be:
// whether the dynamic linker took it all the same (its file is mapped), as of one that needs a display or another module.
const importer = `import importlib, importlib.util, platform

def attempt(function, *args):
    try:
        function(*args)
    except BaseException as error:
        return f"{type(error).__name__}: {error}"

def load(name, file):
    importlib.util.module_from_spec(importlib.util.spec_from_file_location(name, file))

def handler(event, context):
    refused, failed = {}, {}
    for name, file in event["modules"].items():
        error = attempt(importlib.import_module, name)
        if error:
            attempt(importlib.import_module, name.split(".")[0])
            if not attempt(importlib.import_module, name):
                continue
            attempt(load, name, file)
            with open("/proc/self/maps") as maps:
                (refused if file in maps.read() else failed)[name] = error
    return {"machine": platform.machine(), "refused": refused, "failed": failed}
`

// loads imports, on the local arm64 runtime, every extension module of the sets, and what refused.txt lists.
func loads(ctx context.Context, j *judge) (err error) {
	dir, err := os.MkdirTemp("", "judge-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.WriteFile(filepath.Join(dir, "importer.py"), []byte(importer), 0o644); err != nil {
		return err
	}
	say := func(line string) { fmt.Fprintln(os.Stderr, "==>", line) }
	r, err := sandbox.Ensure(ctx, sandbox.Options{Dir: j.tools, UV: j.uv, RuntimeRequirements: "tools/runtime.txt", Progress: say}, target.Default.Runtime.Name, string(target.Default.Arch))
	if err != nil {
		return err
	}
	l := &loader{judge: j, runtime: r, here: dir, done: map[string]bool{}, table: []string{"package\tversion\tmodules\timported\tonly linked, and why\tfailed, and why"}}
	list, err := lines("sets.txt")
	if err != nil {
		return err
	}
	for _, line := range list {
		if err := l.set(ctx, line); err != nil {
			return err
		}
	}
	refused, err := l.refused(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("%d extension modules of %d accepted packages: %d imported, %d linked but of no use by themselves, %d failed; %d of %d refused modules failed\n",
		l.modules, len(l.table)-1, l.modules-l.linked-l.failed, l.linked, l.failed, len(refused)-1-l.loaded, len(refused)-1)
	err = errors.Join(write("accepted.tsv", l.table), write("refused.tsv", refused))
	if l.loaded > 0 {
		err = errors.Join(err, fmt.Errorf("%d refused modules could be imported", l.loaded))
	}
	return err
}

type loader struct {
	*judge
	runtime                         *sandbox.Runtime
	here                            string // of the importing function
	done                            map[string]bool
	table                           []string
	modules, linked, failed, loaded int
}

// set imports the extension modules of a set, package by package.
func (l *loader) set(ctx context.Context, line string) error {
	if strings.HasPrefix(line, "!") {
		return nil
	}
	_, requirements, _ := strings.Cut(line, ":")
	dir, err := l.install(ctx, strings.Fields(requirements))
	if err != nil {
		return err
	}
	facts, _, err := verify.ScanPath(ctx, dir)
	if err != nil {
		return err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	modules := map[int]map[string]string{}
	for _, f := range facts.Files {
		if e := facts.ELF[f.Name]; e != nil && e.Init {
			if modules[f.Dist] == nil {
				modules[f.Dist] = map[string]string{}
			}
			modules[f.Dist][module(f.Name)] = filepath.Join(dir, f.Name)
		}
	}
	instance, err := l.start(ctx, dir)
	if err != nil {
		return err
	}
	for _, i := range slices.Sorted(maps.Keys(modules)) {
		if i == 0 || l.done[facts.Dists[i-1].Dir] {
			continue
		}
		d := facts.Dists[i-1]
		l.done[d.Dir] = true
		got, err := l.imports(ctx, instance, modules[i])
		if err != nil {
			return errors.Join(fmt.Errorf("importing %s: %w", d.Name, err), instance.Close())
		}
		n := len(modules[i])
		fmt.Fprintf(os.Stderr, "%4d modules, %d only linked, %d failed  %s %s\n", n, len(got.Refused), len(got.Failed), d.Name, d.Version)
		l.modules, l.linked, l.failed = l.modules+n, l.linked+len(got.Refused), l.failed+len(got.Failed)
		l.table = append(l.table, fmt.Sprintf("%s\t%s\t%d\t%d\t%s\t%s", d.Name, d.Version, n, n-len(got.Refused)-len(got.Failed), l.reasons(got.Refused), l.reasons(got.Failed)))
	}
	return instance.Close()
}

// reasons puts what Python says of modules on one line, without the names of this machine's folders.
func (l *loader) reasons(of map[string]string) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(of)) {
		all = append(all, name+": "+l.clean(of[name]))
	}
	return strings.Join(all, "; ")
}

// clean puts a text on one line, with files named from the tools' folder on.
func (l *loader) clean(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if dir, err := filepath.Abs(l.tools); err == nil {
		text = strings.ReplaceAll(text, dir+"/", "")
	}
	return text
}

// module returns the name by which the extension module in a file is imported.
func module(file string) string {
	name, _, _ := strings.Cut(filepath.Base(file), ".")
	if name == "__init__" {
		name = ""
	}
	return strings.ReplaceAll(filepath.ToSlash(filepath.Join(filepath.Dir(file), name)), "/", ".")
}

func (l *loader) start(ctx context.Context, packages string) (*sandbox.Instance, error) {
	packages, err := filepath.Abs(packages)
	if err != nil {
		return nil, err
	}
	return l.runtime.Start(ctx, sandbox.Function{
		Dir: l.here, Name: "importer", Version: "$LATEST", Handler: "importer.handler", Region: "eu-west-1", MemoryMB: 3008, Timeout: 15 * time.Minute,
		ARN: "arn:aws:lambda:eu-west-1:123456789012:function:importer", Runtime: target.Default.Runtime.Name, Env: map[string]string{"PYTHONPATH": packages, "PYTHONDONTWRITEBYTECODE": "1"},
	})
}

// outcome is what became of modules that could not be imported.
type outcome struct {
	Machine         string
	Refused, Failed map[string]string
}

// imports imports modules, {name: file}, in one invocation, and each in one of its own where that ends the process.
func (l *loader) imports(ctx context.Context, instance *sandbox.Instance, modules map[string]string) (*outcome, error) {
	payload, err := json.Marshal(map[string]any{"modules": modules})
	if err != nil {
		return nil, err
	}
	result, err := instance.Invoke(ctx, payload)
	if err != nil {
		return nil, err
	}
	got := &outcome{Refused: map[string]string{}, Failed: map[string]string{}}
	if result.FunctionError == "" {
		if err := json.Unmarshal(result.Payload, got); err != nil || got.Machine != target.Default.Machine() {
			return nil, fmt.Errorf("got %s: %w", result.Payload, err)
		}
		return got, nil
	}
	for name, file := range modules {
		if len(modules) == 1 {
			got.Failed[name] = string(result.Payload)
			break
		}
		one, err := l.imports(ctx, instance, map[string]string{name: file})
		if err != nil {
			return nil, err
		}
		maps.Copy(got.Refused, one.Refused)
		maps.Copy(got.Failed, one.Failed)
	}
	return got, nil
}

// refused verifies and imports what refused.txt lists: each line has to be refused for its reason, and to fail.
func (l *loader) refused(ctx context.Context) (table []string, err error) {
	list, err := lines("refused.txt")
	if err != nil {
		return nil, err
	}
	table = []string{"refused for\tmodule\twheel\twhat Python says of it"}
	for _, line := range list {
		fields := strings.Fields(line)
		if len(fields) != 5 {
			return nil, fmt.Errorf("reading refused.txt: %q is not CODE MODULE REQUIREMENT PYTHON PLATFORM", line)
		}
		dir, err := l.installForeign(ctx, strings.Join(fields[2:], " "))
		if err != nil {
			return nil, err
		}
		report, err := verify.Verify(ctx, dir, target.Default, verify.Options{})
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(report.Errors, func(f verify.Finding) bool { return f.Code == fields[0] }) {
			return nil, fmt.Errorf("%q is not refused for %s", line, fields[0])
		}
		instance, err := l.start(ctx, dir)
		if err != nil {
			return nil, err
		}
		got, err := l.imports(ctx, instance, map[string]string{fields[1]: "(no file that is mapped)"})
		if err := errors.Join(err, instance.Close()); err != nil {
			return nil, err
		}
		why, ok := got.Failed[fields[1]]
		if !ok {
			l.loaded++
			why = "it was imported"
		}
		fmt.Fprintf(os.Stderr, "%-12s %s: %s\n", fields[0], fields[1], why)
		table = append(table, strings.Join([]string{fields[0], fields[1], strings.Join(fields[2:], " "), l.clean(why)}, "\t"))
	}
	return table, nil
}

// installForeign unpacks a wheel of another platform, and beside it what it requires, for the target.
func (l *loader) installForeign(ctx context.Context, line string) (string, error) {
	wheel, err := l.wheel(ctx, line)
	if err != nil {
		return "", err
	}
	dir := strings.TrimSuffix(wheel, ".whl") + ".installed"
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	partial := dir + ".partial"
	if err := os.RemoveAll(partial); err != nil {
		return "", err
	}
	_, err = output(ctx, l.uv, "pip", "install", "--quiet", "--no-config", "--target", partial, "--python-platform", target.Default.UVPlatform(),
		"--python-version", target.Default.Runtime.Python, "--only-binary", ":all:", "--no-compile-bytecode", strings.Fields(line)[0])
	if err != nil {
		return "", err
	}
	if err := replaceByWheel(partial, wheel); err != nil {
		return "", err
	}
	return dir, os.Rename(partial, dir)
}

// replaceByWheel takes a package out of a folder of packages, and unpacks a wheel of it in its place.
func replaceByWheel(dir, wheel string) error {
	name, rest, _ := strings.Cut(filepath.Base(wheel), "-")
	version, _, _ := strings.Cut(rest, "-")
	record, err := os.ReadFile(filepath.Join(dir, name+"-"+version+".dist-info", "RECORD"))
	if err != nil {
		return err
	}
	for row := range strings.Lines(string(record)) {
		file, _, _ := strings.Cut(row, ",")
		if err := os.Remove(filepath.Join(dir, file)); err != nil {
			return err
		}
	}
	return unzip(wheel, dir)
}
