package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"sample-python-arm64-lambda/bundle"
	"sample-python-arm64-lambda/bundle/target"
	"sample-python-arm64-lambda/bundle/verify"
)

// settings is what a stack's files say of the bundle of a function. The program checks them; here they are read, without
// Pulumi.
type settings struct {
	function string // its key in functions, "" without them
	name     string // of the function
	layer    bool   // its dependencies are in a layer
	tested   bool   // it has a smoke test
	spec     bundle.Spec
	ignore   []verify.Waiver
}

// heading is a heading about the function's bundle.
func (s *settings) heading(text string) string {
	if s.function != "" {
		text += " of function " + code(s.function)
	}
	return text + "\n\n"
}

// loadSettings reads Pulumi.yaml with its defaults and the stack's file, in the project's folder dir, for each function.
func loadSettings(dir, stack string) (all []*settings, err error) {
	var project struct {
		Name   string
		Config map[string]struct{ Default any }
	}
	var own struct{ Config map[string]any }
	for name, into := range map[string]any{"Pulumi.yaml": &project, "Pulumi." + stack + ".yaml": &own} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, fmt.Errorf("reading the settings: %w", err)
		}
		if err := yaml.Unmarshal(text, into); err != nil {
			return nil, fmt.Errorf("reading %q: %w", name, err)
		}
	}
	values := map[string]any{}
	for key, declared := range project.Config {
		values[key] = declared.Default
	}
	for key, value := range own.Config {
		values[strings.TrimPrefix(key, project.Name+":")] = value
	}
	if values["functionName"] == "" {
		values["functionName"] = project.Name + "-" + stack
	}
	functions, _ := values["functions"].(map[string]any)
	for _, function := range slices.Sorted(maps.Keys(functions)) {
		its := maps.Clone(values)
		its["functionName"] = fmt.Sprintf("%s-%s", values["functionName"], function)
		own, _ := functions[function].(map[string]any)
		maps.Copy(its, own)
		s, err := readSettings(dir, function, its)
		if err != nil {
			return nil, fmt.Errorf("reading the settings of function %q of stack %q: %w", function, stack, err)
		}
		all = append(all, s)
	}
	if len(functions) > 0 {
		return all, nil
	}
	s, err := readSettings(dir, "", values)
	if err != nil {
		return nil, fmt.Errorf("reading the settings of stack %q: %w", stack, err)
	}
	return []*settings{s}, nil
}

func readSettings(dir, function string, values map[string]any) (*settings, error) {
	text := func(key string) string { s, _ := values[key].(string); return s }
	list := func(key string) (all []string) {
		items, _ := values[key].([]any)
		for _, item := range items {
			all = append(all, fmt.Sprint(item))
		}
		return all
	}
	layer, _ := values["layer"].(bool)
	smoke, _ := values["smokeTest"].(map[string]any)
	s := &settings{function: function, name: text("functionName"), layer: layer, tested: len(smoke) > 0, spec: bundle.Spec{
		Requirements: filepath.Join(dir, text("requirements")), Source: filepath.Join(dir, text("source")),
		Handler: text("handler"), Builder: bundle.Builder(text("builder")), Exclude: list("exclude"),
	}}
	var err error
	if s.spec.Target, err = target.Parse(text("runtime"), text("architecture")); err != nil {
		return nil, err
	}
	for _, w := range list("verifyIgnore") {
		waiver, err := verify.ParseWaiver(w)
		if err != nil {
			return nil, err
		}
		s.ignore = append(s.ignore, waiver)
	}
	return s, nil
}
