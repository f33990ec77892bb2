package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"sample-python-arm64-lambda/bundle"
)

// Rows of the workload "many" that are of no other.
const (
	fiveSets     = "the 5 sets alone, cold"
	allNew       = "50 functions, every source new"
	allNew500    = "500 functions, every source new"
	unchanged500 = "500 functions, nothing changed"
	copies500    = "the zips of 500 functions"
)

// kernelCopy is the tool that puts copies of zips in place of older ones, as the bundler does with what it made.
const kernelCopy = "kernel copy"

// sourceBytes is the size of a function's own source in the workload "many".
const sourceBytes = 10_000

// bundleMany bundles functions 0 to n-1 of the folder dir in this process, as a program with many functions does.
func bundleMany(ctx context.Context, dir string, n int) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i := range n {
		group.Go(func() error {
			function := filepath.Join(dir, "functions", strconv.Itoa(i))
			spec := bundle.Spec{Requirements: filepath.Join(dir, "sets", sets[i%len(sets)]+".txt"), Source: filepath.Join(function, "src"), Handler: "main.handler"}
			_, err := bundle.Build(ctx, spec, filepath.Join(function, "bundle.zip"), bundle.Options{CacheDir: filepath.Join(dir, "cache")})
			return err
		})
	}
	return group.Wait()
}

// measureMany measures 50 functions over 5 requirement sets, those 5 alone, and 500 functions.
func (b *bench) measureMany() error {
	dir := filepath.Join(b.dir, "many")
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for _, set := range sets {
		if err := writeFile(filepath.Join(dir, "sets", set+".txt"), requirements(set)); err != nil {
			return err
		}
	}
	edits := 0
	edit := func(n int) error {
		edits++
		for i := range n {
			if err := writeFile(filepath.Join(dir, "functions", strconv.Itoa(i), "src", "main.py"), ownSource(edits*1000+i)); err != nil {
				return err
			}
		}
		return nil
	}
	if err := edit(500); err != nil {
		return err
	}
	if err := b.measureManyBaseline(dir); err != nil {
		return err
	}
	for _, s := range []struct {
		name    string
		n       int
		prepare func() error
	}{
		{fiveSets, 5, func() error { return remove(dir, "cache", "functions/*/bundle.zip") }},
		{cold, 50, func() error { return remove(dir, "cache", "functions/*/bundle.zip") }},
		{unchanged, 50, func() error { return nil }},
		{lineChanged, 50, func() error { return edit(1) }},
		{allNew, 50, func() error { return edit(50) }},
		{allNew500, 500, func() error { return edit(500) }},
		{unchanged500, 500, func() error { return nil }},
	} {
		c := command{dir, []string{"UV_CACHE_DIR=" + filepath.Join(dir, "uv")}, []string{self, "-functions", strconv.Itoa(s.n), dir}}
		row := scenario{name: s.name, prepare: s.prepare, do: commands(c), watch: &c, zip: filepath.Join(dir, "functions", "0", "bundle.zip")}
		if s.n > 50 {
			row.budget = b.budget // each run writes some gigabytes
		}
		if err := b.add("many", ours, row); err != nil {
			return err
		}
	}
	return errors.Join(b.measureCopies(dir), removeAll(dir))
}

// measureCopies copies the zips of all functions in place of older copies, as many at once as the bundler makes.
func (b *bench) measureCopies(dir string) error {
	at := filepath.Join(dir, "copies")
	do := func(func(command) error) error {
		var group errgroup.Group
		group.SetLimit(runtime.GOMAXPROCS(0))
		for i := range 500 {
			group.Go(func() error {
				made := filepath.Join(at, strconv.Itoa(i))
				return errors.Join(copyFile(filepath.Join(dir, "functions", strconv.Itoa(i), "bundle.zip"), made+".new"), os.Rename(made+".new", made))
			})
		}
		return group.Wait()
	}
	s := scenario{name: copies500, prepare: func() error { return os.MkdirAll(at, 0o755) }, do: do, zip: filepath.Join(at, "0"), budget: b.budget}
	if err := b.warmUp(s); err != nil { // there is no older copy yet
		return err
	}
	return b.add("many", kernelCopy, s)
}

// measureManyBaseline does for 50 functions, one after another, what is done for one.
func (b *bench) measureManyBaseline(dir string) error {
	job := func(run func(command) error) error {
		for i := range 50 {
			at := filepath.Join(dir, "baseline", strconv.Itoa(i))
			if err := os.MkdirAll(at, 0o755); err != nil {
				return err
			}
			function := b.installAndZip(at, filepath.Join(dir, "sets", sets[i%len(sets)]+".txt"), filepath.Join(dir, "functions", strconv.Itoa(i), "src"), filepath.Join(dir, "uv"))
			if err := commands(function...)(run); err != nil {
				return err
			}
		}
		return nil
	}
	s := scenario{name: cold, prepare: func() error { return remove(dir, "baseline") }, do: job, budget: b.budget, zip: filepath.Join(dir, "baseline", "0", "out.zip")}
	if err := b.warmUp(s); err != nil { // downloads the wheels
		return err
	}
	return errors.Join(b.add("many", baseline, s), removeAll(filepath.Join(dir, "baseline")))
}

// ownSource is a handler of sourceBytes that is like no other.
func ownSource(seed int) string {
	var text strings.Builder
	fmt.Fprintf(&text, "SEED = %d\n\n\ndef handler(event, context):\n    return SEED\n", seed)
	for i := 0; text.Len() < sourceBytes; i++ {
		fmt.Fprintf(&text, "\n\ndef step_%d(value):\n    return value * %d + %d\n", i, seed*7919%100003+i, i*i)
	}
	return text.String()
}
