package main

import (
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// pins are the requirements of the workloads, pinned to the last one, so that every run installs the same.
//
//go:embed workloads/*.txt
var pins embed.FS

// workload is a function to bundle.
type workload struct {
	name    string
	what    string
	change  [2]string // the requirement that changes, and what it becomes
	changed []string  // what the changed wheel unpacks to, as patterns in its tree
	peers   []string  // the cases that peers are measured in
}

var workloads = []workload{
	{"sample", "the sample's requirements: pydantic", [2]string{"typing-extensions==4.12.2", "typing-extensions==4.13.2"},
		[]string{"typing_extensions*"}, []string{cold, unchanged, lineChanged}},
	{"data", "numpy, pandas, pyarrow", [2]string{"pandas==2.2.3", "pandas==2.2.2"}, []string{"pandas", "pandas-*"}, []string{cold}},
	{"web", "fastapi, sqlalchemy, boto3, pydantic", [2]string{"sqlalchemy==2.0.36", "sqlalchemy==2.0.35"},
		[]string{"sqlalchemy", "SQLAlchemy-*", "sqlalchemy-*"}, []string{cold}},
}

// sets are the requirement sets of the workload "many".
var sets = []string{"sample", "many-crypto", "many-http", "many-numpy", "many-orjson"}

func requirements(name string) string {
	text, err := pins.ReadFile("workloads/" + name + ".txt")
	if err != nil {
		panic(err) // embedded: known when this was compiled
	}
	return string(text)
}

// requirementsAfter is the workload's requirements with its one pin changed.
func (w workload) requirementsAfter() string {
	return strings.Replace(requirements(w.name), w.change[0]+"\n", w.change[1]+"\n", 1)
}

// checkout is a function's folder.
type checkout struct {
	dir          string
	requirements string // file, relative to dir
	source       string // handler's file, relative to dir
	edits        int
}

// write puts the function's files into the folder.
func (c *checkout) write(requirements string) error {
	if err := writeFile(filepath.Join(c.dir, c.requirements), requirements); err != nil {
		return err
	}
	return c.edit()
}

// edit changes one line of the handler, to one that it never was.
func (c *checkout) edit() error {
	c.edits++
	return writeFile(filepath.Join(c.dir, c.source), fmt.Sprintf("def handler(event, context):\n    return %d\n", c.edits))
}

func writeFile(file, text string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(text), 0o644)
}

// remove removes what the patterns match below dir.
func remove(dir string, patterns ...string) error {
	for _, p := range patterns {
		names, err := filepath.Glob(filepath.Join(dir, p))
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := removeAll(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeAll removes a folder.
func removeAll(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("clearing: %w", err)
	}
	return nil
}
