package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"sample-python-arm64-lambda/bundle"
	"sample-python-arm64-lambda/bundle/verify"
)

// place is where an annotation belongs; the zero value is nowhere in particular.
type place struct {
	file string
	line int
}

// annotate writes a workflow command
// (https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands).
func (c *ci) annotate(level string, at place, title, message string) {
	text := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	property := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
	where := ""
	if at.file != "" {
		where = fmt.Sprintf("file=%s,line=%d,", property.Replace(filepath.ToSlash(at.file)), max(1, at.line))
	}
	fmt.Fprintf(c.stdout, "::%s %stitle=%s::%s\n", level, where, property.Replace(title), text.Replace(message))
}

// explain annotates what keeps a bundle from being made, each finding where it came from.
func (c *ci) explain(s *settings, err error) error {
	var wrong *verify.Error
	var none *bundle.NoWheelError
	switch {
	case errors.As(err, &wrong):
		for _, f := range wrong.Report.Errors {
			at := c.cause(s, f.Package)
			if file := filepath.Join(s.spec.Source, f.File); f.Package == "" && isFile(file) {
				at = place{file, 1}
			}
			c.annotate("error", at, f.Code, f.String())
		}
	case errors.As(err, &none):
		name, _, _ := strings.Cut(none.Requirement, "==")
		c.annotate("error", c.cause(s, name), "no wheel", err.Error())
	default:
		c.annotate("error", place{s.spec.Requirements, 1}, "bundle", err.Error())
	}
	if summary := c.summary("### The bundle does not load\n\n" + fence(err.Error())); summary != nil {
		return summary
	}
	fmt.Fprintln(c.stderr, err)
	return errTold
}

func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

// cause returns the line of the requirements that brings a package in: its own, or the one of a package that needs it.
func (c *ci) cause(s *settings, name string) place {
	lines := requirementLines(s.spec.Requirements)
	if at, ok := lines[normal(name)]; ok || name == "" {
		return at
	}
	out, err := c.start("uv", "pip", "compile", "--quiet", "--no-header", "--annotation-style", "line", "--universal",
		"--python-version", strings.TrimPrefix(s.spec.Target.Runtime.Name, "python"), s.spec.Requirements)
	if err == nil {
		needs := parents(out)
		for todo, seen := []string{normal(name)}, map[string]bool{}; len(todo) > 0; todo = todo[1:] {
			if at, ok := lines[todo[0]]; ok {
				return at
			}
			if !seen[todo[0]] {
				seen[todo[0]], todo = true, append(todo, needs[todo[0]]...)
			}
		}
	}
	return place{s.spec.Requirements, 1}
}

var (
	requirementName = regexp.MustCompile(`^\s*([A-Za-z0-9][A-Za-z0-9._-]*)`)
	projectName     = regexp.MustCompile(`(?m)^name\s*=\s*["'](.+?)["']`)
	included        = regexp.MustCompile(`^\s*(?:-r|--requirement)[ =]*(\S+)`)
	via             = regexp.MustCompile(`^(\S+?)==\S.*# via (.*)$`)
)

// requirementLines returns where each package is required, includes followed.
func requirementLines(file string) map[string]place {
	lines := map[string]place{}
	for todo := []string{file}; len(todo) > 0; todo = todo[1:] {
		text, err := os.ReadFile(todo[0])
		if err != nil {
			continue // the bundler tells
		}
		for i, line := range strings.Split(string(text), "\n") {
			if name := required(filepath.Dir(todo[0]), line); name != "" {
				lines[normal(name)] = place{todo[0], i + 1}
			}
			if m := included.FindStringSubmatch(line); m != nil && len(todo) < 100 {
				if next := filepath.Join(filepath.Dir(todo[0]), m[1]); !slices.Contains(todo, next) {
					todo = append(todo, next)
				}
			}
		}
	}
	return lines
}

// required returns the name of the package that a line of a file in dir requires, "" for none. A local package's is in its
// pyproject.toml, else the one of its folder or archive.
func required(dir, line string) string {
	file, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "file:"), " ")
	if _, err := os.Stat(filepath.Join(dir, file)); strings.Contains(file, "/") && err == nil {
		text, _ := os.ReadFile(filepath.Join(dir, file, "pyproject.toml")) //nolint:errcheck // it has none
		if m := projectName.FindSubmatch(text); m != nil {
			return string(m[1])
		}
		name, _, _ := strings.Cut(filepath.Base(file), "-")
		return name
	}
	if m := requirementName.FindStringSubmatch(line); m != nil {
		return m[1]
	}
	return ""
}

// parents reads uv's annotations: which packages need a package.
func parents(compiled string) map[string][]string {
	needs := map[string][]string{}
	for _, line := range strings.Split(compiled, "\n") {
		if m := via.FindStringSubmatch(line); m != nil {
			for _, p := range strings.Split(m[2], ",") {
				needs[normal(m[1])] = append(needs[normal(m[1])], normal(strings.TrimSpace(p)))
			}
		}
	}
	return needs
}

// normal is a package's normalised name (https://packaging.python.org/en/latest/specifications/name-normalization/).
func normal(name string) string {
	return strings.ToLower(regexp.MustCompile(`[-_.]+`).ReplaceAllString(name, "-"))
}
