package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"

	"sample-python-arm64-lambda/bundle"
)

// profile writes a CPU profile and one of all allocations, of cold builds of data in this process, into dir.
func (b *bench) profile(dir string) (err error) {
	c := checkout{dir: filepath.Join(b.dir, "data"), requirements: "requirements.txt", source: "src/main.py"}
	if err := errors.Join(c.write(requirements("data")), os.MkdirAll(dir, 0o755), os.Setenv("UV_CACHE_DIR", filepath.Join(c.dir, "uv"))); err != nil {
		return err
	}
	build := func() error {
		_, err := bundle.Build(b.ctx, bundle.Spec{Requirements: filepath.Join(c.dir, c.requirements), Source: filepath.Join(c.dir, "src"), Handler: "main.handler"},
			filepath.Join(c.dir, "bundle.zip"), bundle.Options{CacheDir: filepath.Join(c.dir, "cache"), UV: b.uv})
		return errors.Join(err, remove(c.dir, "cache"))
	}
	if err := build(); err != nil { // downloads the wheels
		return err
	}
	const builds = 3
	cpu, err := os.Create(filepath.Join(dir, "cpu.pprof"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cpu.Close()) }()
	if err := pprof.StartCPUProfile(cpu); err != nil {
		return err
	}
	for range builds {
		if err := build(); err != nil {
			return err
		}
	}
	pprof.StopCPUProfile()
	runtime.GC() // so that the profile is of all that was allocated until now
	memory, err := os.Create(filepath.Join(dir, "memory.pprof"))
	if err != nil {
		return err
	}
	b.say(fmt.Sprintf("%d cold builds: go tool pprof -top %s, and -sample_index=alloc_space or inuse_space %s", builds, cpu.Name(), memory.Name()))
	return errors.Join(pprof.Lookup("allocs").WriteTo(memory, 0), memory.Close())
}
