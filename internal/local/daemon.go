package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"sample-python-arm64-lambda/internal/local/emulator"
	"sample-python-arm64-lambda/internal/local/sandbox"
	"sample-python-arm64-lambda/internal/local/tools"
)

// serveVerb is the verb under which the program starts itself as the emulator's process.
const serveVerb = "serve-emulator"

// startLimit is how long the emulator may take to answer; it loads Python and the AWS models.
const startLimit = 90 * time.Second

// daemon is the running emulator, as its file says.
type daemon struct {
	PID int    `json:"pid"`
	URL string `json:"url"`
}

func (l *Local) daemonFile() string { return filepath.Join(l.state, "emulator.json") }
func (l *Local) daemonLog() string  { return filepath.Join(l.state, "emulator.log") }

// running returns the emulator that the file names where it answers, else nil.
func (l *Local) running(ctx context.Context) *daemon {
	data, err := os.ReadFile(l.daemonFile())
	if err != nil {
		return nil
	}
	d := &daemon{}
	if json.Unmarshal(data, d) != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.URL+"/moto-api/", nil)
	if err != nil {
		return nil
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil
	}
	resp.Body.Close() //nolint:errcheck // nothing was read
	return d
}

// ensureDaemon returns the running emulator, or starts one with a new, empty account. It says whether it started one.
func (l *Local) ensureDaemon(ctx context.Context) (*daemon, bool, error) {
	if d := l.running(ctx); d != nil {
		l.say("using the emulator at " + d.URL)
		return d, false, nil
	}
	if err := l.down(); err != nil { // a state without its account is of no use
		return nil, false, err
	}
	l.say("starting the emulator")
	d, err := l.startDaemon(ctx)
	return d, true, err
}

// startDaemon starts this program again as the emulator, detached, and waits until it answers.
func (l *Local) startDaemon(ctx context.Context) (*daemon, error) {
	if err := os.MkdirAll(l.state, 0o755); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	log, err := os.Create(l.daemonLog())
	if err != nil {
		return nil, err
	}
	defer log.Close() //nolint:errcheck // the daemon has it
	cmd := exec.Command(self, serveVerb)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = l.root, log, log, detached()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the emulator: %w", err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for {
		select {
		case err := <-exited:
			return nil, fmt.Errorf("starting the emulator: it ended at once (%v); its log:\n%s", err, l.logTail())
		case <-ctx.Done():
			err := errors.Join(fmt.Errorf("starting the emulator: %w; its log:\n%s", ctx.Err(), l.logTail()), cmd.Process.Kill())
			return nil, errors.Join(err, <-exited)
		case <-time.After(100 * time.Millisecond):
			if d := l.running(ctx); d != nil {
				return d, nil
			}
		}
	}
}

func (l *Local) logTail() string {
	data, err := os.ReadFile(l.daemonLog())
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}

// serve is the emulator's process: it runs until it is told to stop.
func (l *Local) serve(ctx context.Context) (err error) {
	python, err := tools.EnsureVenv(ctx, l.tools, l.requirements(), l.say)
	if err != nil {
		return err
	}
	e, err := emulator.Start(ctx, emulator.Config{
		Python: python, Dir: filepath.Join(l.state, "emulator"), Pool: sandbox.NewPool(l.sandbox(python)), Log: os.Stdout,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close(), os.Remove(l.daemonFile())) }()
	data, err := json.Marshal(daemon{PID: os.Getpid(), URL: e.URL()})
	if err != nil {
		return err
	}
	partial := l.daemonFile() + ".partial"
	if err := os.WriteFile(partial, data, 0o644); err != nil {
		return err
	}
	if err := os.Rename(partial, l.daemonFile()); err != nil {
		return err
	}
	stopped := make(chan error, 1)
	go func() { stopped <- e.Wait() }()
	select {
	case <-ctx.Done():
		return nil
	case err := <-stopped:
		return err
	}
}

// sandbox says how the runtimes that execute functions are made.
func (l *Local) sandbox(python string) sandbox.Options {
	return sandbox.Options{Dir: l.tools, UV: tools.UV(python), RuntimeRequirements: filepath.Join(l.root, "tools", "runtime.txt"), Progress: l.say}
}

// down stops the emulator, waits until it is gone, and removes the emulated account's state.
func (l *Local) down() error {
	if data, err := os.ReadFile(l.daemonFile()); err == nil {
		d := &daemon{}
		if err := json.Unmarshal(data, d); err != nil {
			return fmt.Errorf("reading %q: %w", l.daemonFile(), err)
		}
		if l.running(context.Background()) != nil { // else the number may be another process's by now
			if err := stopProcess(d.PID, l.daemonFile()); err != nil {
				return fmt.Errorf("stopping the emulator: %w", err)
			}
			l.say("stopped the emulator")
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.RemoveAll(l.state)
}

// stopProcess asks a process to end, and waits until it has removed its file.
func stopProcess(pid int, file string) error {
	p, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	if err := interrupt(p); err != nil {
		return err
	}
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
	}
	return p.Kill()
}
