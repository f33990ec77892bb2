package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"

	"sample-python-arm64-lambda/bundle/target"
)

// Bounds on what is compiled to see whether it can be: beyond them it is a library that was laid beside the sources.
const (
	maxSyntaxFiles = 500
	maxSyntaxBytes = 5 << 20
)

// compileAll reads {name: source} and prints {name: error} of what cannot be compiled. Nothing of it is run.
const compileAll = `
import json, sys, warnings
warnings.simplefilter("ignore")
wrong = {}
for name, source in json.load(sys.stdin).items():
    try:
        compile(source.encode("latin-1"), name, "exec", dont_inherit=True)
    except SyntaxError as e:
        wrong[name] = f"line {e.lineno}: {e.msg}"
    except (ValueError, RecursionError, MemoryError) as e:
        wrong[name] = str(e)
print(json.dumps(wrong))
`

// Syntax compiles Python files with an interpreter of the target's version, where one is on PATH, and returns a finding
// for each that cannot be; none where there is no such interpreter. Options.Found takes them.
func Syntax(ctx context.Context, t target.Target, files []File) ([]Finding, error) {
	interpreter, err := exec.LookPath(t.Runtime.Name)
	if err != nil {
		return nil, nil //nolint:nilerr // there is none at hand
	}
	sources := map[string]string{}
	var total int64
	for i := range files {
		f := &files[i]
		if !isPython(f.Name) || !f.Mode.IsRegular() || f.Size > maxSource {
			continue
		}
		if total += f.Size; total > maxSyntaxBytes || len(sources) == maxSyntaxFiles {
			return nil, nil
		}
		text, err := readAll(f, maxSource)
		if err != nil {
			return nil, fmt.Errorf("reading %q: %w", f.Name, err)
		}
		sources[f.Name] = latin1(text)
	}
	if len(sources) == 0 {
		return nil, nil
	}
	input, err := json.Marshal(sources)
	if err != nil {
		return nil, err
	}
	var out, trouble bytes.Buffer
	cmd := exec.CommandContext(ctx, interpreter, "-I", "-S", "-c", compileAll)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), &out, &trouble
	wrong := map[string]string{}
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && (exit.ExitCode() == 126 || exit.ExitCode() == 127) {
		return nil, nil // a version manager's stand-in for an interpreter that is not installed
	}
	if err != nil {
		return nil, fmt.Errorf("checking the syntax of the sources with %s: %w\n%s", interpreter, errors.Join(err, ctx.Err()), trouble.Bytes())
	}
	if err := json.Unmarshal(out.Bytes(), &wrong); err != nil {
		return nil, fmt.Errorf("reading what %s says of the sources: %w", interpreter, err)
	}
	var found []Finding
	for name, why := range wrong {
		found = append(found, Finding{Code: "SYNTAX", File: name, Got: why, Want: "code for Python " + t.Runtime.Python})
	}
	return found, nil
}

// latin1 writes bytes as the code points of the same number, so that JSON carries them whatever their encoding is.
func latin1(text []byte) string {
	runes := make([]rune, len(text))
	for i, b := range text {
		runes[i] = rune(b)
	}
	return string(runes)
}
