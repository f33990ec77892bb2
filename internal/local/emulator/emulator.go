// Package emulator serves an AWS account on loopback: the moto server as the API, with Lambda functions that really run,
// as code of their architecture, in package sandbox.
package emulator

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"sample-python-arm64-lambda/internal/local/sandbox"
)

//go:embed emulator.py
var launcher []byte

// startLimit is how long moto may take until it answers: it loads the models of every service, 3 s on an idle machine.
const startLimit = 90 * time.Second

// Config says how to start an emulator.
type Config struct {
	Python string        // interpreter that has moto and flask
	Dir    string        // folder for the log and the functions' packages; made where it is missing
	Port   int           // 0 takes a free one
	Pool   *sandbox.Pool // runs the functions; closed with the emulator
	Log    io.Writer     // gets a line for each invocation; may be nil
}

// Emulator is a running AWS account, empty at first.
type Emulator struct {
	url     string
	runner  *runner
	pool    *sandbox.Pool
	process *sandbox.Process
	stdin   *os.File // moto ends when this is closed
	output  string   // path of what moto prints
	close   func() error
	closing chan struct{}
}

// Start starts an account and waits until it answers. It is closed with ctx. Nothing of it outlives this process, however
// that ends.
func Start(ctx context.Context, c Config) (e *Emulator, err error) {
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return nil, err
	}
	if err := os.RemoveAll(filepath.Join(dir, "code")); err != nil { // of an account that is gone
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	e = &Emulator{pool: c.Pool, output: filepath.Join(dir, "moto.log"), closing: make(chan struct{})}
	e.close = sync.OnceValue(e.end)
	if e.runner, err = newRunner(c.Pool, c.Log); err != nil {
		return nil, errors.Join(err, e.pool.Close())
	}
	if err := e.startMoto(c, dir); err != nil {
		return nil, errors.Join(fmt.Errorf("starting moto: %w", err), e.Close())
	}
	limit := time.NewTimer(startLimit)
	defer limit.Stop()
	select {
	case port := <-e.runner.ready:
		e.url = fmt.Sprintf("http://127.0.0.1:%d", port)
		context.AfterFunc(ctx, func() { e.Close() }) //nolint:errcheck // whoever has the emulator is told by its own Close
		return e, nil
	case <-e.process.Done():
		err = fmt.Errorf("starting moto: it ended (%v); its output:\n%s", e.process.Err(), e.tail())
	case <-limit.C:
		err = fmt.Errorf("starting moto: no answer in %s; its output:\n%s", startLimit, e.tail())
	case <-ctx.Done():
		err = ctx.Err()
	}
	return nil, errors.Join(err, e.Close())
}

func (e *Emulator) startMoto(c Config, dir string) error {
	script := filepath.Join(dir, "emulator.py")
	if err := os.WriteFile(script, launcher, 0o644); err != nil {
		return err
	}
	output, err := os.Create(e.output)
	if err != nil {
		return err
	}
	defer output.Close() //nolint:errcheck // moto has it
	stdin, writer, err := os.Pipe()
	if err != nil {
		return err
	}
	defer stdin.Close() //nolint:errcheck // moto has it
	e.stdin = writer
	cmd := exec.Command(c.Python, "-I", script, fmt.Sprint(c.Port))
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, stdin, output, output
	cmd.Env = append(environment(), "EMULATOR_RUNNER="+e.runner.url, "EMULATOR_DIR="+dir)
	e.process, err = sandbox.StartProcess(cmd)
	return err
}

// environment is moto's: nothing of this machine's AWS account, nothing that changes moto, and no way to Docker.
func environment() []string {
	var env []string
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "AWS_") && !strings.HasPrefix(pair, "MOTO_") && !strings.HasPrefix(pair, "DOCKER_") {
			env = append(env, pair)
		}
	}
	return append(env, "AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local", "AWS_EC2_METADATA_DISABLED=true",
		"MOTO_IAM_LOAD_MANAGED_POLICIES=true", "MOTO_DISABLE_GLOBAL_CORS=true", "DOCKER_HOST=unix:///nonexistent")
}

// URL is the endpoint of every service.
func (e *Emulator) URL() string { return e.url }

// Wait waits until the emulator has ended. It returns nil after Close, else why it ended.
func (e *Emulator) Wait() error {
	<-e.process.Done()
	select {
	case <-e.closing:
		return nil
	default:
		return fmt.Errorf("running moto: it ended (%v); its output:\n%s", e.process.Err(), e.tail())
	}
}

// Close ends the account and every function that runs. It may be called more than once.
func (e *Emulator) Close() error { return e.close() }

func (e *Emulator) end() error {
	close(e.closing)
	var errs []error
	if e.process != nil {
		e.process.Kill()
	}
	if e.stdin != nil {
		errs = append(errs, e.stdin.Close())
	}
	return errors.Join(append(errs, e.pool.Close(), e.runner.close())...)
}

// tail is the end of what moto printed.
func (e *Emulator) tail() string {
	text, err := os.ReadFile(e.output)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}
