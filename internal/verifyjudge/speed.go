package main

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"time"
)

// speedSet is some 250 MB with more than 200 shared objects.
var speedSet = []string{"numpy==2.2.6", "scipy==1.16.3", "scikit-learn==1.7.0", "pandas==2.3.2"}

// speed compares the time that bundle verify takes for a large bundle with the time that unzip takes for it.
func speed(ctx context.Context, j *judge) (err error) {
	folder, err := j.install(ctx, speedSet)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "judge-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	bundle, program := filepath.Join(dir, "bundle.zip"), filepath.Join(dir, "bundle")
	if err := zipFolder(folder, bundle); err != nil {
		return err
	}
	if _, err := output(ctx, "go", "build", "-o", program, "./cmd/bundle"); err != nil {
		return err
	}
	const rounds = 5
	for range rounds {
		unzipped, _, err := timed(ctx, "unzip", "-q", bundle, "-d", filepath.Join(dir, "out"))
		if err != nil {
			return err
		}
		verified, memory, err := timed(ctx, program, "verify", bundle)
		if err != nil {
			return err
		}
		fmt.Printf("unzip %.2f s, verify %.2f s in %d MB: %.2f of the time\n", unzipped.Seconds(), verified.Seconds(), memory>>10, verified.Seconds()/unzipped.Seconds())
		if err := os.RemoveAll(filepath.Join(dir, "out")); err != nil {
			return err
		}
	}
	return nil
}

// timed runs a command and returns the time that it took, and the most memory that it had, in kB (Linux).
func timed(ctx context.Context, name string, args ...string) (took time.Duration, memory int64, err error) {
	cmd := exec.CommandContext(ctx, name, args...)
	start := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		return 0, 0, fmt.Errorf("running %s: %w\n%s", filepath.Base(name), err, out)
	}
	took = time.Since(start)
	if usage := reflect.Indirect(reflect.ValueOf(cmd.ProcessState.SysUsage())); usage.IsValid() && usage.FieldByName("Maxrss").IsValid() {
		memory = usage.FieldByName("Maxrss").Int()
	}
	return took, memory, nil
}

func zipFolder(folder, file string) (err error) {
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	w := zip.NewWriter(out)
	return errors.Join(w.AddFS(os.DirFS(folder)), w.Close())
}
